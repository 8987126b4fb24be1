"""The five invariants of the design, read off a live Redis with nothing but redis-cli's commands."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import redis

LANES = {str(dscp) for dscp in range(32, 64)}
_ENDED = ("done", "failed", "cancelled")


def violations(client: redis.Redis, bench: str = "main") -> list[str]:
    """Sentences about what does not hold; empty when all is well."""
    at = f"reachq:{bench}:"
    runs = _runs(client, bench)
    held: dict[str, set[str]] = {m: set(_any(client.smembers(f"{at}running:{m}"))) for m in ("quick", "detailed")}
    pending: dict[str, list[str]] = {
        m: list(_any(client.lrange(f"{at}pending:{m}", 0, -1))) for m in ("quick", "detailed")
    }
    return [
        *_slots(held),
        *_lanes(client, at, runs, held["quick"]),
        *_one_place(client, runs, held, pending),
        *_order(runs, pending),
        *_attempts(client, at, runs, held),
    ]


def _any(value: Any) -> Any:
    return value


def _runs(client: redis.Redis, bench: str) -> dict[str, dict[str, str]]:
    found = {}
    for key in client.scan_iter("reachq:run:*", count=1000):
        if re.fullmatch(r"reachq:run:[0-9a-f-]{36}", key):
            record: dict[str, str] = _any(client.hgetall(key))
            if record.get("bench") == bench:
                found[key.removeprefix("reachq:run:")] = record
    return found


def _slots(held: dict[str, set[str]]) -> list[str]:
    wrong = []
    if held["detailed"] and (held["quick"] or len(held["detailed"]) > 1):
        wrong.append(f"1: a detailed run is not alone: {held}")
    if len(held["quick"]) > 32:
        wrong.append(f"2: {len(held['quick'])} quick runs hold a slot")
    return wrong


def _lanes(client: redis.Redis, at: str, runs: dict[str, dict[str, str]], quick: set[str]) -> list[str]:
    free: set[str] = _any(client.smembers(f"{at}dscp:free"))
    leased: set[str] = _any(client.smembers(f"{at}dscp:leased"))
    wrong = []
    if (free or leased) and (free | leased != LANES or free & leased):
        wrong.append(f"3: lanes are not whole: free {sorted(free)}, leased {sorted(leased)}")
    lanes = [runs[run].get("dscp", "none") for run in quick if run in runs]
    if Counter(lanes) != Counter(leased):
        wrong.append(f"3: quick runs hold lanes {sorted(lanes)}, leased are {sorted(leased)}")
    for lane in LANES:
        record: dict[str, str] = _any(client.hgetall(f"{at}dscp:lane:{lane}"))
        if bool(record) != (lane in leased):
            wrong.append(f"3: lane {lane} has the record {record} and leased is {lane in leased}")
        elif record and runs.get(record["run"], {}).get("token") != record["token"]:
            wrong.append(f"3: lane {lane} names another attempt than run {record['run']} has")
    return wrong


def _one_place(
    client: redis.Redis,
    runs: dict[str, dict[str, str]],
    held: dict[str, set[str]],
    pending: dict[str, list[str]],
) -> list[str]:
    ended: set[str] = set(_any(client.zrange("reachq:finished", 0, -1)))
    wrong = []
    for run, record in runs.items():
        mode, state = record["mode"], record["state"]
        places = {
            "pending": pending[mode].count(run),
            "slot": int(run in held[mode]),
            "ended": int(run in ended),
        }
        meant = "pending" if state == "pending" else "ended" if state in _ENDED else "slot"
        if places != {**dict.fromkeys(places, 0), meant: 1}:
            wrong.append(f"4: run {run} is {state}, and stands in {places}")
    strangers = {*pending["quick"], *pending["detailed"], *held["quick"], *held["detailed"]} - set(runs)
    return wrong + [f"4: {run} stands somewhere without a record" for run in strangers]


def _order(runs: dict[str, dict[str, str]], pending: dict[str, list[str]]) -> list[str]:
    seqs = {mode: [int(runs[i]["seq"]) for i in ids if i in runs] for mode, ids in pending.items()}
    return [f"order: {mode} waits as {line}" for mode, line in seqs.items() if line != sorted(line)]


def _attempts(client: redis.Redis, at: str, runs: dict[str, dict[str, str]], held: dict[str, set[str]]) -> list[str]:
    holding = held["quick"] | held["detailed"]
    wrong = []
    leases: set[str] = set(_any(client.zrange(f"{at}leases", 0, -1)))
    if leases != holding:
        wrong.append(f"5: leases of {sorted(leases ^ holding)} do not match the slots")
    results = {run for run in runs if client.exists(f"reachq:run:{run}:result")}
    wrong += [f"5: run {r} is {runs[r]['state']} and has a result" for r in results if runs[r]["state"] != "done"]
    fences = [runs[run].get("fence") for run in holding if run in runs]
    if len(set(fences)) != len(fences):
        wrong.append(f"5: two live attempts share a fence: {fences}")
    return wrong
