"""Reads the YAML files that users write, strictly, so that a mistake is an error and never ignored. Pure.

All scalars are text as it is written in the file: `22:30` is not a number, and `no` is not a boolean. Repeated keys,
anchors, aliases, tags, and several documents in one file are refused. Every value knows its line and its field, so that
an error names the file, the line, the field, the value and a remedy.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import yaml

from ledger.errors import BadInput

SIZE_MAX: Final = 1024 * 1024
"""Maximum number of characters of a file."""
DEPTH_MAX: Final = 20
"""Maximum number of lists and mappings inside each other."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a file: a text, a list or a mapping, with its place."""

    file: str
    line: int
    field: str
    """Path of the value in the file, such as `gained[1].from`; empty for the whole file."""
    node: yaml.Node

    def wrong(self, remedy: str) -> BadInput:
        """Return the error for this value. `remedy` says what is wrong with it and what would be right."""
        place = f"{self.file}:{self.line}"
        return BadInput(f"{place}: {self.field}" if self.field else place, _plain(self.node), remedy)

    @property
    def is_text(self) -> bool:
        """Whether this is a text, a number or another scalar."""
        return isinstance(self.node, yaml.ScalarNode)

    def text(self, example: str) -> str:
        """Return a text that is not empty. Raises BadInput, which contains the example."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.wrong(f"must be one value: {example}")
        if not self.node.value.strip():
            raise self.wrong(f"is empty: {example}")
        return str(self.node.value)

    def items(self, example: str) -> list[Value]:
        """Return the values of a list, which may be empty. Raises BadInput."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong(f"must be a list: {example}")
        return [self._part(f"{self.field}[{number}]", node) for number, node in enumerate(self.node.value)]

    def fields(self, known: Collection[str], required: Collection[str] = ()) -> dict[str, Value]:
        """Return the values of a mapping by key. Raises BadInput if a key is unknown, repeated or missing."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong(f"must be a mapping with the fields {', '.join(known)}")
        found: dict[str, Value] = {}
        for key, node in self.node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            at_key = self._part(f"{self.field}.{name}".strip("."), key)
            if name not in known:
                raise at_key.wrong(f"is not a known field: use {', '.join(known)}")
            if name in found:
                raise at_key.wrong("is given twice: give it once")
            found[name] = self._part(at_key.field, node)
        for name in required:
            if name not in found:
                raise self.wrong(f"has no field `{name}`: add it")
        return found

    def _part(self, field: str, node: yaml.Node) -> Value:
        return Value(self.file, node.start_mark.line + 1, field, node)


def read_yaml(text: str, file: str) -> Value:
    """Return the content of a file. `file` is its name for error messages. Raises BadInput."""
    if len(text) > SIZE_MAX:
        raise BadInput(file, f"{len(text)} characters", f"is too large: a file has at most {SIZE_MAX} characters")
    try:
        _check(text, file)
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as bad:
        place = f"{file}:{bad.problem_mark.line + 1}" if bad.problem_mark else file
        raise BadInput(place, bad.problem or "", "is a mistake in the YAML syntax: correct it") from None
    except yaml.YAMLError as bad:
        raise BadInput(file, str(bad), "is a mistake in the YAML syntax: correct it") from None
    if node is None:
        raise BadInput(file, "", "is empty: the file has no content")
    return Value(file, node.start_mark.line + 1, "", node)


def _check(text: str, file: str) -> None:
    """Refuse the parts of YAML that make a value differ from what is written, and deep nesting."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        place = f"{file}:{event.start_mark.line + 1 if event.start_mark else 1}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise BadInput(place, f"{depth} levels", f"is nested too deeply: at most {DEPTH_MAX} levels are possible")
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            raise BadInput(
                place, event.anchor, "is an anchor or an alias, which are not supported: write the value out"
            )
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            raise BadInput(place, event.tag, "is a tag, which is not supported: write the value without it")


def _plain(node: yaml.Node) -> object:
    """Return a value for an error message."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return {str(_plain(key)): _plain(value) for key, value in node.value}
