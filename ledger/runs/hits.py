"""Which rules a result names, and how often: what the network page shows beside each rule. Pure.

A rule, or a chain's policy, is named by where its router's facts spell it, `dc-core/nft.rules:44`; a policy that is written
nowhere by `dc-core/ip filter FORWARD policy`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.runs.soundness import number

NAMES_MAX = 400
"""Names counted of one run; those that decided most come first."""
LAST = "last "
"""Prefix of the field that holds the time of the last hit; no router's name has a space."""
_FACTS = re.compile(r"[0-9a-f]{1,64}")


def facts_of(result: Mapping[str, Any]) -> str:
    """The digest of the facts a result was made from, "" when it names none."""
    digest = result.get("facts")
    return digest if isinstance(digest, str) and _FACTS.fullmatch(digest) else ""


def counted(result: Mapping[str, Any]) -> dict[str, int]:
    """{name of a rule: answers it decided}: one for each service on each router, and one more for its reply.

    In a quick run only what said NO has a rule; in a detailed one everything that filters, there and back.
    """
    decided = Counter(name for name, *_ in {*_forward(result), *_replies(result)})
    return dict(sorted(decided.items(), key=lambda item: (-item[1], item[0]))[:NAMES_MAX])


STOPPERS_SHOWN = 3


def stopped_by(result: Mapping[str, Any]) -> str:
    """Who said no first, for lists: `dc-fw iptables.rules:4, dc-gw`, at most STOPPERS_SHOWN, and how many more."""
    places = {
        (router.get("name"), cell.get("port"), cell.get("protocol")): _place(cell.get("rule"))
        for router in result.get("routers", ())
        for cell in router.get("services", ())
        if cell.get("result") == "NO"
    }
    places |= {
        (hop.get("router"), service.get("port"), service.get("protocol")): _place(hop.get("rule"))
        for service in result.get("services", ())
        for hop in service.get("hops", ())
        if hop.get("result") == "NO"
    }
    found = dict.fromkeys(
        f"{first} {places.get((first, service.get('port'), service.get('protocol')), '')}".strip()
        for service in result.get("services", ())
        for first in service.get("blocked_by", ())[:1]
    )
    shown = list(found)[:STOPPERS_SHOWN]
    return ", ".join(shown) + (f" and {len(found) - len(shown)} more" if len(found) > len(shown) else "")


def _place(rule: Mapping[str, Any] | None) -> str:
    """`iptables.rules:4`; the router is named beside it."""
    return f"{str(rule['file']).rpartition('/')[2]}:{rule.get('line')}" if rule and rule.get("file") else ""


def read(record: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """The HASH of hits as {name: (count, time of the last one in ms)}."""
    return {
        name: (number(count), number(record.get(LAST + name)))
        for name, count in record.items()
        if not name.startswith(LAST) and number(count)
    }


Decided = tuple[str, str, object, object]
"""Name of the rule, request or reply, port and protocol of the service; the name tells the router."""


def _forward(result: Mapping[str, Any]) -> Iterator[Decided]:
    for router in result.get("routers", ()):
        for cell in router.get("services", ()):
            if name := _name(router.get("name", ""), cell.get("rule")):
                yield name, "request", cell.get("port"), cell.get("protocol")


def _replies(result: Mapping[str, Any]) -> Iterator[Decided]:
    for service in result.get("services", ()):
        for hop in service.get("hops", ()):
            if hop.get("direction") == "reply" and (name := _name(hop.get("router", ""), hop.get("rule"))):
                yield name, "reply", service.get("port"), service.get("protocol")


def _name(router: str, rule: Mapping[str, Any] | None) -> str:
    """ "" for what has no place in the facts."""
    if not rule:
        return ""
    if rule.get("file"):
        return f"{rule['file']}:{rule.get('line')}"
    return f"{router}/{rule.get('family')} {rule.get('table')} {rule.get('chain')} policy" if rule.get("policy") else ""
