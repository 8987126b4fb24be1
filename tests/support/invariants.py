"""The five invariants of the design, read from a live Redis with nothing but redis-cli's commands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import redis

LANES = {str(dscp) for dscp in range(32, 64)}
MODES = ("quick", "detailed", "bulk")
_ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Seen:
    """The state of one network; runs by id, `answered` have a result, `jobs` a job of RQ.

    `free`, `leased` and `lanes` name each lane as `of` does.
    """

    runs: dict[str, dict[str, str]]
    held: dict[str, set[str]]
    pending: dict[str, list[str]]
    surplus: dict[str, dict[str, dict[str, float]]]
    waiting: dict[str, dict[str, str]]
    questions: dict[str, str]
    hosts: set[str]
    free: set[str]
    leased: set[str]
    lanes: dict[str, dict[str, str]]
    leases: set[str]
    ended: set[str]
    answered: set[str]
    jobs: set[str]


def of(host: str, lane: str) -> str:
    """The name of a lane: that of host local has only its number."""
    return lane if host == "local" else f"{host}:{lane}"


def violations(client: redis.Redis, bench: str = "main") -> list[str]:
    """Sentences about violated invariants; empty if there are none. Not read at one instant: only for a quiet ledger."""
    at = f"reachq:{bench}:"
    names: list[str] = list(client.scan_iter("reachq:run:*", count=10_000))
    ids = [name.removeprefix("reachq:run:") for name in names if name.count(":") == 2]
    surplus: dict[str, dict[str, dict[str, float]]] = {mode: {} for mode in MODES}
    for mode in MODES:
        for name in client.scan_iter(f"{at}surplus:{mode}:*", count=10_000):
            scored: Any = client.zrange(name, 0, -1, withscores=True)
            surplus[mode][name.rpartition(":")[2]] = dict(scored)
    counts: dict[str, Any] = {mode: client.hgetall(f"{at}waiting:{mode}") for mode in MODES}
    questions: Any = client.hgetall(f"{at}queued-questions")
    hosts = ["local"]
    for part in ("free", "leased"):
        hosts += [name.rpartition(":")[2] for name in client.scan_iter(f"{at}dscp:{part}:*", count=10_000)]
    hosts = sorted(set(hosts))
    all_lanes = [(host, lane) for host in hosts for lane in sorted(LANES)]
    with client.pipeline(transaction=False) as pipe:
        for mode in MODES:
            pipe.smembers(f"{at}running:{mode}")
            pipe.lrange(f"{at}pending:{mode}", 0, -1)
        for host, lane in all_lanes:
            pipe.hgetall(f"{at}dscp:lane:{of(host, lane)}")
        pipe.zrange(f"{at}leases", 0, -1)
        pipe.zrange("reachq:finished", 0, -1)
        for run in ids:
            pipe.hgetall(f"reachq:run:{run}")
        replies = pipe.execute()
    held, lines = (dict(zip(MODES, replies[at : 2 * len(MODES) : 2], strict=True)) for at in range(2))
    rest = replies[2 * len(MODES) :]
    records = dict(zip(ids, rest[len(all_lanes) + 2 :], strict=True))
    sets: dict[str, set[str]] = {}
    for part in ("free", "leased"):
        sets[part] = set()
        for host in hosts:
            members: Any = client.smembers(f"{at}dscp:{part}" if host == "local" else f"{at}dscp:{part}:{host}")
            sets[part] |= {of(host, lane) for lane in members}
    seen = Seen(
        runs={run: record for run, record in records.items() if record.get("bench") == bench},
        held=held,
        pending=lines,
        surplus=surplus,
        waiting=counts,
        questions=questions,
        hosts=set(hosts),
        free=sets["free"],
        leased=sets["leased"],
        lanes=dict(zip((of(*lane) for lane in all_lanes), rest, strict=False)),
        leases=set(rest[len(all_lanes)]),
        ended=set(rest[len(all_lanes) + 1]),
        answered={name.split(":")[2] for name in names if name.endswith(":result")},
        jobs={run for run in ids if client.hexists(f"rq:job:{run}", "data")},
    )
    return [*_slots(seen), *_lanes(seen), *_one_place(seen), *_order(seen), *_attempts(seen)]


def _slots(seen: Seen) -> list[str]:
    wrong = []
    for host in sorted({_host(seen, run) for mode in MODES for run in seen.held[mode]}):
        held = {mode: {run for run in seen.held[mode] if _host(seen, run) == host} for mode in MODES}
        in_lanes = held["quick"] | held["bulk"]
        if held["detailed"] and (in_lanes or len(held["detailed"]) > 1):
            wrong.append(f"1: a detailed run is not alone: {held}")
        if len(in_lanes) > 32:
            wrong.append(f"2: {len(in_lanes)} quick and bulk runs hold a slot")
    return wrong


def _host(seen: Seen, run: str) -> str:
    return seen.runs.get(run, {}).get("host", "local")


def _lanes(seen: Seen) -> list[str]:
    free, leased, wrong = seen.free, seen.leased, []
    for host in seen.hosts:
        whole = {of(host, lane) for lane in LANES}
        both, here = free & leased & whole, (free | leased) & {of(host, str(number)) for number in range(1000)}
        if here and (here != whole or both):
            wrong.append(f"3: lanes of {host} are not whole: free {sorted(free)}, leased {sorted(leased)}")
    in_lanes = seen.held["quick"] | seen.held["bulk"]
    lanes = [of(_host(seen, run), seen.runs[run].get("dscp", "none")) for run in in_lanes if run in seen.runs]
    if Counter(lanes) != Counter(leased):
        wrong.append(f"3: quick runs hold lanes {sorted(lanes)}, leased are {sorted(leased)}")
    for lane, record in seen.lanes.items():
        if bool(record) != (lane in leased):
            wrong.append(f"3: lane {lane} has the record {record} and leased is {lane in leased}")
        elif record and seen.runs.get(record["run"], {}).get("token") != record["token"]:
            wrong.append(f"3: lane {lane} names another attempt than run {record['run']} has")
    return wrong


def _one_place(seen: Seen) -> list[str]:
    wrong = []
    for run, record in seen.runs.items():
        mode, state = record["mode"], record["state"]
        places = {
            "pending": seen.pending[mode].count(run) + sum(run in runs for runs in seen.surplus[mode].values()),
            "slot": int(run in seen.held[mode]),
            "ended": int(run in seen.ended),
        }
        meant = "pending" if state == "pending" else "ended" if state in _ENDED else "slot"
        if places != {**dict.fromkeys(places, 0), meant: 1}:
            wrong.append(f"4: run {run} is {state}, and stands in {places}")
    strangers = {run for mode in MODES for run in (*seen.pending[mode], *seen.held[mode])} - set(seen.runs)
    return wrong + [f"4: {run} stands somewhere without a record" for run in strangers]


def _questions(seen: Seen) -> list[str]:
    beyond = [run for runs in seen.surplus["bulk"].values() for run in runs]
    asked = Counter[str]()
    for run in (*seen.pending["bulk"], *beyond):
        if run in seen.runs:
            asked[seen.runs[run]["user"]] += int(seen.runs[run].get("questions", 1))
    counted = {user: str(count) for user, count in asked.items()}
    return [] if seen.questions == counted else [f"order: {seen.questions} questions are counted, there wait {counted}"]


def _order(seen: Seen) -> list[str]:
    turns = {run: int(record.get("turn", record["seq"])) for run, record in seen.runs.items() if "seq" in record}
    lines = {m: [turns[run] for run in seen.pending[m] if run in turns] for m in MODES}
    wrong = [f"order: {mode} waits as {line}" for mode, line in lines.items() if line != sorted(line)]
    wrong += _questions(seen)
    for mode in MODES:
        in_line = Counter(seen.runs[run]["user"] for run in seen.pending[mode] if run in seen.runs)
        total = in_line + Counter({user: len(runs) for user, runs in seen.surplus[mode].items()})
        if seen.waiting[mode] != {user: str(count) for user, count in total.items()}:
            wrong.append(f"order: {mode}: counted as {seen.waiting[mode]}, there wait {total}")
        for user, runs in seen.surplus[mode].items():
            ahead = [int(seen.runs[r]["seq"]) for r in seen.pending[mode] if seen.runs.get(r, {}).get("user") == user]
            if not ahead or max(ahead) > min(runs.values()):
                wrong.append(f"order: {mode}: {user} waits beyond the line without being in it, or out of order")
            wrong += [
                f"order: {run} has the score {at}" for run, at in runs.items() if at != int(seen.runs[run]["seq"])
            ]
    return wrong


def _attempts(seen: Seen) -> list[str]:
    holding, runs, wrong = set[str]().union(*seen.held.values()), seen.runs, []
    if seen.leases != holding:
        wrong.append(f"5: leases of {sorted(seen.leases ^ holding)} do not match the slots")
    for run in seen.answered & set(runs):
        if runs[run]["state"] != "done":
            wrong.append(f"5: run {run} is {runs[run]['state']} and has a result")
    wrong += [f"5: run {run} has ended, and RQ has a job of it" for run in seen.ended & seen.jobs & set(runs)]
    fences = [runs[run].get("fence") for run in holding if run in runs]
    if len(set(fences)) != len(fences):
        wrong.append(f"5: two live attempts share a fence: {fences}")
    return wrong
