"""Paths to the parts of a unit, as `stages.parse.grammar.Unit` writes them, resolved for one grammar."""

from collections.abc import Callable
from dataclasses import dataclass

from stages.parse.grammar import Find, Unit
from stages.parse.kinds import Kinds
from stages.parse.tree import Tree


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitPaths:
    """A `Unit` with its paths resolved."""

    unit: str
    name: Find
    owner: Find | None
    parameters: Find
    parameters_end: Find
    returns: Find
    body: Find
    when: Callable[[Tree, int], bool] | None


def resolve_unit(unit: Unit, names: Kinds) -> UnitPaths:
    """The paths of a unit as functions. Raises ValueError for kinds and fields that the grammar does not have."""
    return UnitPaths(
        unit=unit.unit,
        name=_finder(unit.name, names),
        owner=_finder(unit.owner, names) if unit.owner else None,
        parameters=_finder(unit.parameters, names),
        parameters_end=_finder(unit.parameters_end, names),
        returns=_finder(unit.returns, names),
        body=_finder(unit.body, names),
        when=unit.when,
    )


def _finder(path: str | Find, names: Kinds) -> Find:
    """What follows a path; several alternatives are tried in order."""
    if not isinstance(path, str):
        return path
    ways = [[_step(step, names) for step in way.split("/")] for way in path.split("|") if way]

    def find(tree: Tree, node: int) -> int | None:
        for way in ways:
            at: int | None = node
            for step in way:
                at = None if at is None else step(tree, at)
            if at is not None:
                return at
        return None

    return find


def _step(step: str, names: Kinds) -> Find:
    if step.startswith("^"):
        above = frozenset(names.kinds_of(step[1:]))
        return lambda tree, node: (
            node - tree.to_parent[node] if tree.kind[node - tree.to_parent[node]] in above else None
        )
    if step.startswith(":"):
        wanted = frozenset(names.kinds_of(step[1:]))
        return lambda tree, node: next((child for child in tree.children(node) if tree.kind[child] in wanted), None)
    number = names.field(step.removesuffix("*"))

    def down(tree: Tree, node: int) -> int | None:
        child, after, field, last = node + 1, tree.last[node], tree.field, tree.last
        while child < after:
            if field[child] == number:
                return child
            child = last[child]
        return None

    if not step.endswith("*"):
        return down

    def follow(tree: Tree, node: int) -> int | None:
        while (below := down(tree, node)) is not None:
            node = below
        return node

    return follow
