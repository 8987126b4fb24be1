"""The JSON types of the fields in `ip -j` output, so that a wrong type is reported with its line. Pure."""

from __future__ import annotations

from typing import Any

Shape = dict[str, type[list[Any]] | type[dict[str, Any]] | None]
"""Field -> list, dict, or None for any type (`ip` prints null). All other fields are words: text or a whole number."""

ADDR: Shape = {"flags": list, "addr_info": list, "linkinfo": dict, "xdp": dict, "vfinfo_list": list}
"""Fields of an interface that are not words. `reader` itself checks the words that it uses."""
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
    """Return what is wrong with the types in an object, or "".

    `words`: whether fields that are not in `shape` must be words.
    """
    for key, value in data.items():
        if type(value) is str and key not in shape:
            continue  # the case of nearly all fields
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
