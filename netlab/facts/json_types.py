"""The JSON type of each field of `ip -j`, so that a wrong type is reported with its line. Pure."""

from __future__ import annotations

from typing import Any

Shape = dict[str, type[list[Any]] | type[dict[str, Any]] | None]
"""Field -> list or dict; None: printed as null. Any other field is a word: text or a whole number."""

ADDR: Shape = {"flags": list, "addr_info": list, "linkinfo": dict, "xdp": dict, "vfinfo_list": list}
"""The fields of an interface that are read, in addition to the words that `facts` checks itself."""
ROUTE: Shape = {
    "flags": list,
    "nexthops": list,
    "metrics": list,
    "cache": list,
    "via": dict,
    "flow": dict,
    "nh_info": dict,
}
RULE: Shape = dict.fromkeys("not nop iif_detached oif_detached unresolved l3mdev masquerade".split())
_NAMES = {
    list: "an array",
    dict: "an object",
    str: "text",
    bool: "true or false",
    type(None): "null",
    float: "a fraction",
}


def fault(data: dict[str, Any], shape: Shape, *, words: bool) -> str:
    """What is wrong with an object's types, or ""; `words`: whether fields outside the shape must be words."""
    for key, value in data.items():
        if type(value) is str and key not in shape:
            continue  # nearly all
        expected = shape.get(key, str)
        if expected is None:
            continue
        if expected is str:
            if words and (isinstance(value, bool) or not isinstance(value, str | int)):
                return f"{key} is {_name(value)}, where text or a whole number was expected"
        elif not isinstance(value, expected):
            return f"{key} is {_name(value)}, where {_NAMES[expected]} was expected"
        elif expected is list and any(not isinstance(item, str | dict) for item in value):
            return f"{key} holds something that is neither text nor an object"
    return ""


def _name(value: object) -> str:
    return _NAMES.get(type(value), "a number")
