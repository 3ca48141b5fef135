"""What tests of language tables look at: units, imports and concepts of a piece of source."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.ast import CONCEPTS, NAMED
from stages.parse.kinds import Kinds
from stages.parse.loaded import grammars, load_grammar
from stages.parse.parse import Parsed, parse_source

_CONCEPTS = tuple(CONCEPTS)


@dataclass(frozen=True, slots=True)
class SeenUnit:
    """A unit as text."""

    kind: str
    qualified_name: str | None
    parameters: str | None = None
    returns: str | None = None
    doc: str | None = None


def parsed(source: str, grammar: str) -> Parsed:
    """The source, parsed without an error and lossless."""
    result = parse_source(source.encode(), grammar)
    assert result.is_lossless
    assert not (result.columns.flags & 6).any(), f"errors in:\n{source}"
    return result


def units(source: str, grammar: str) -> list[SeenUnit]:
    """All units but imports."""
    result = parsed(source, grammar)

    def text(place: tuple[int | None, int | None]) -> str | None:
        return None if place[0] is None else result.source[place[0] : place[1]].decode()

    return [
        SeenUnit(unit.kind, unit.qualified_name, text(unit.parameters), text(unit.returns), text(unit.doc))
        for unit in result.units
        if unit.kind != "import"
    ]


def names(source: str, grammar: str) -> list[tuple[str, str | None]]:
    """(kind, qualified name) of all units but imports."""
    return [(unit.kind, unit.qualified_name) for unit in units(source, grammar)]


def imports(source: str, grammar: str) -> list[tuple[str | None, list[str] | None]]:
    """(module, names) of all imports."""
    return [(unit.module, unit.names) for unit in parsed(source, grammar).units if unit.kind == "import"]


def concepts(source: str, grammar: str, *leaves: str) -> dict[str, list[str]]:
    """Texts of the named nodes by concept, in order; only the concepts asked for, all without any."""
    result = parsed(source, grammar)
    tree, found = result.tree, {}
    for node in range(len(tree)):
        concept = _CONCEPTS[tree.concept[node]]
        if tree.flags[node] & NAMED and (concept in leaves or not leaves):
            found.setdefault(concept, []).append(tree.text(node))
    return found


def assert_complete(grammar: str) -> None:
    """Every named kind of the grammar stands exactly once in its table, and nothing else does."""
    missing, twice = Kinds(grammar, load_grammar(grammar).parser.language).unmapped(grammars()[grammar])
    assert not missing, f"kinds of {grammar} without a concept: {' '.join(missing)}"
    assert not twice, f"kinds of {grammar} with two concepts: {' '.join(twice)}"


def assert_concepts(source: str, grammar: str, expected: Mapping[str, list[str]]) -> None:
    """The texts of exactly these concepts."""
    assert concepts(source, grammar, *expected) == dict(expected)
