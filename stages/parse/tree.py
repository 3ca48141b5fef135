"""A tree of one document for code that walks it node by node: nodes are numbers in pre-order."""

import dataclasses
from collections.abc import Iterator, Sequence

from schemas.ast import NAMED


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """The columns of one document with its source and the names of its grammar. The root is node 0."""

    source: bytes
    kinds: Sequence[str]
    """Name of every kind, the last one (`ERROR`) for `ERROR_KIND`."""
    fields: Sequence[str]
    """Name of every field; field 0 is none."""
    kind: Sequence[int]
    concept: Sequence[int]
    to_parent: Sequence[int]
    start: Sequence[int]
    length: Sequence[int]
    field: Sequence[int]
    """Number of the field by which the parent holds each node."""
    flags: Sequence[int]
    last: Sequence[int]
    """Index after each node's last descendant."""
    unexpected: Sequence[int]
    """As in `schemas.ast.AST`: one entry per ERROR node without children."""
    _numbers: dict[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", {name: number for number, name in enumerate(self.fields)})

    def __len__(self) -> int:
        return len(self.kind)

    def type(self, node: int) -> str:
        """Name of the node's kind in the grammar."""
        kind = self.kind[node]
        return self.kinds[kind] if kind < len(self.kinds) else self.kinds[-1]

    def end(self, node: int) -> int:
        """Byte after the node."""
        return self.start[node] + self.length[node]

    def bytes(self, node: int) -> bytes:
        """The node's source."""
        start = self.start[node]
        return self.source[start : start + self.length[node]]

    def text(self, node: int) -> str:
        """The node's source as text."""
        return self.bytes(node).decode("utf-8", "replace")

    def parent(self, node: int) -> int | None:
        """The node's parent; None for the root."""
        return node - self.to_parent[node] if node else None

    def children(self, node: int) -> Iterator[int]:
        """The node's children, anonymous ones too."""
        child, after, last = node + 1, self.last[node], self.last
        while child < after:
            yield child
            child = last[child]

    def named(self, node: int) -> Iterator[int]:
        """The node's named children."""
        return (child for child in self.children(node) if self.flags[child] & NAMED)

    def in_field(self, node: int, name: str) -> Iterator[int]:
        """The node's children in a field."""
        number, field = self._numbers[name], self.field
        return (child for child in self.children(node) if field[child] == number)

    def child(self, node: int, name: str) -> int | None:
        """The first child in a field. Raises KeyError for a field that the grammar does not have."""
        number, field, last, child, after = self._numbers[name], self.field, self.last, node + 1, self.last[node]
        while child < after:
            if field[child] == number:
                return child
            child = last[child]
        return None

    def of_type(self, node: int, *names: str) -> Iterator[int]:
        """The node's children of some kinds."""
        return (child for child in self.children(node) if self.type(child) in names)

    def first(self, node: int, *names: str) -> int | None:
        """The first child of some kinds."""
        return next(self.of_type(node, *names), None)
