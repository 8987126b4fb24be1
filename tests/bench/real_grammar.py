"""A seed's network: a topology and the configurations of real programs on it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.bench.real_containers import CONTAINERS
from tests.bench.real_firewalls import FIREWALLS
from tests.bench.real_lab import Lab, Router
from tests.bench.real_routing import ROUTING

Kind = Callable[[Lab, Router], None]
KINDS: dict[str, Kind] = {**ROUTING, **CONTAINERS, **FIREWALLS}
"""At most one of a group is on a router."""


def network(seed: int) -> dict[str, Any]:
    """The network of this seed; `kinds` names what is on it."""
    random = Random(seed)
    lab = Lab(random, random.choice([1, 1, 2, 2, 3, 4]))
    kinds: list[str] = []
    used: set[str] = set()
    inside = list(lab.routers.values())
    if random.random() < 0.6:
        name = random.choice(list(ROUTING))
        ROUTING[name](lab, random.choice(inside))
        kinds.append(name)
    for router in inside:
        for group, chance in ((FIREWALLS, 0.5), (CONTAINERS, 0.45)):
            free = [name for name in group if group is FIREWALLS or name not in used]
            if random.random() < chance or (not kinds and group is CONTAINERS and router.name == inside[-1].name):
                name = random.choice(free)
                if name.startswith("docker"):
                    used |= {"docker", "docker-nft"}
                used.add(name)
                group[name](lab, router)
                kinds.append(name)
    _nat(lab)
    return {**lab.spec(), "kinds": sorted(set(kinds))}


def _nat(lab: Lab) -> None:
    """Most networks have NAT towards the internet."""
    gw = lab.routers["gw"]
    if lab.random.random() < 0.7:
        gw.iptables(f"*nat\n-A POSTROUTING -o {gw.wan} -s 10.0.0.0/8 -j MASQUERADE\nCOMMIT")
