"""Grammars ready for use: the parser, the names of kinds and fields, and the language's table as arrays."""

import ctypes
import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tree_sitter import Language, Parser

from schemas.ast import CONCEPTS
from stages.parse import languages
from stages.parse.certify import certify_grammar
from stages.parse.grammar import Case, Find, Grammar, ReadImports, Tests, Unit
from stages.parse.tree import Tree

ITSELF = -1
"""In place of the number of a field: the node and not a child."""

CONCEPT_NUMBER = {name: number for number, name in enumerate(CONCEPTS)}

_PUNCTUATION = re.compile(r"[()\[\]{},;:.\"'`#@\\\s]+|\.\.\.|::|\?\.|</?|/?>")
_WORD = re.compile(r"[^\W\d]|[#@$%]\w")

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


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


class CaseTables(NamedTuple):
    """The cases of a grammar as arrays for the kernel; case i has row i everywhere."""

    first: npt.NDArray[np.int32]
    """Per kind: position in `order` of its first case; one more entry than kinds."""
    order: npt.NDArray[np.int32]
    concept: npt.NDArray[np.uint8]
    parent: npt.NDArray[np.bool_]
    """(cases, kinds): parents that the case allows."""
    parent_concept: npt.NDArray[np.bool_]
    """(cases, concepts)."""
    field: npt.NDArray[np.bool_]
    """(cases, fields)."""
    child: npt.NDArray[np.bool_]
    """(cases, kinds), all false where the case asks for no child."""
    through: npt.NDArray[np.bool_]
    """(cases, kinds)."""
    needs_child: npt.NDArray[np.bool_]
    words_of: npt.NDArray[np.int32]
    """Number of the field, 0 for no words, `ITSELF` for the words of the node itself."""
    first_word: npt.NDArray[np.int32]
    """Per case: its first word; one more entry than cases."""
    word_offsets: npt.NDArray[np.int32]
    words: npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A grammar in this process."""

    grammar: Grammar
    version: str
    parser: Parser
    address: int
    """Of the grammar's TSLanguage."""
    kinds: tuple[str, ...]
    """Name of every kind, then `ERROR`."""
    fields: tuple[str, ...]
    concepts: npt.NDArray[np.uint8]
    """Concept of every kind where no case holds."""
    cases: CaseTables
    units: dict[int, list[UnitPaths]]
    imports: dict[int, ReadImports]
    wrappers: frozenset[int]
    leading: frozenset[int]
    async_words: frozenset[int]
    """Anonymous kinds that are words of `asynchronous`."""
    marks: npt.NDArray[np.uint8]
    """1 for the kinds that may be units or imports, 0 for others."""
    mark_cases: CaseTables
    """Nodes that are marked because of their words."""
    tests: "TestPatterns"


@dataclass(frozen=True, kw_only=True, slots=True)
class TestPatterns:
    """`Tests`, compiled for bytes; None where there is no pattern."""

    name: "re.Pattern[bytes] | None"
    header: "re.Pattern[bytes] | None"
    callee: "re.Pattern[bytes] | None"


@cache
def grammars() -> dict[str, Grammar]:
    """All grammars by name, from the modules of `stages.parse.languages`."""
    found = (importlib.import_module(module.name) for module in _modules())
    return {grammar.name: grammar for module in found for grammar in module.GRAMMARS}


@cache
def grammar_of() -> dict[str, str]:
    """Linguist name to the name of its grammar."""
    return {language: grammar.name for grammar in grammars().values() for language in grammar.languages}


def _modules() -> list[pkgutil.ModuleInfo]:
    return sorted(pkgutil.iter_modules(languages.__path__, f"{languages.__name__}."), key=lambda module: module.name)


@cache
def load_grammar(name: str) -> Loaded:
    """A grammar by name, once per process.

    Raises ValueError if its table names what the grammar does not have, RuntimeError if its trees cannot be read.
    """
    grammar = grammars()[name]
    entry = getattr(importlib.import_module(grammar.module), grammar.entry)
    language = Language(entry())
    parser, address = Parser(language), _pointer(entry(), b"tree_sitter.Language")
    certify_grammar(parser, address, name)
    names = Names(grammar.name, language)
    imports = {kind: entry for entry in grammar.imports for kind in names.named_kinds_of(entry.kinds)}
    units: dict[int, list[UnitPaths]] = {}
    for unit in grammar.units:
        for kind in names.named_kinds_of(unit.kinds):
            units.setdefault(kind, []).append(_resolve(unit, names))
    marks = np.zeros(len(names.kinds), np.uint8)
    marks[[*units, *(kind for kind, entry in imports.items() if not entry.words)]] = 1
    worded = [entry for entry in grammar.imports if entry.words]
    mark_cases = [
        Case(kinds=entry.kinds, concept="source", words_of=entry.words_of, words=entry.words) for entry in worded
    ]
    return Loaded(
        grammar=grammar,
        version=version(grammar.distribution),
        parser=parser,
        address=address,
        kinds=names.kinds,
        fields=names.fields,
        concepts=_concepts(grammar, names),
        cases=_case_tables(grammar.cases, names),
        units=units,
        imports={kind: entry.read for kind, entry in imports.items()},
        wrappers=frozenset(names.kinds_of(grammar.wrappers)),
        leading=frozenset(names.kinds_of(grammar.leading)),
        async_words=frozenset(
            number for number, kind in enumerate(names.kinds) if kind in grammar.asynchronous.split()
        ),
        marks=marks,
        mark_cases=_case_tables(mark_cases, names),
        tests=_patterns(grammar.tests),
    )


class Names:
    """Numbers of a grammar's kinds and fields by name."""

    def __init__(self, grammar: str, language: Language) -> None:
        self._grammar = grammar
        numbers = range(language.node_kind_count)
        self.kinds = (*(language.node_kind_for_id(n) or "" for n in numbers), "ERROR")
        self.is_named = [*(language.node_kind_is_named(n) for n in numbers), True]
        self.is_visible = [*(language.node_kind_is_visible(n) for n in numbers), True]
        self.fields = ("", *(language.field_name_for_id(n) or "" for n in range(1, language.field_count + 1)))
        self._by_name: dict[str, list[int]] = {}
        for number, kind in enumerate(self.kinds):
            self._by_name.setdefault(kind, []).append(number)

    def kinds_of(self, names: str) -> list[int]:
        """Numbers of kinds, whose names are separated by spaces. Raises ValueError for an unknown name."""
        for name in names.split():
            if name not in self._by_name:
                raise ValueError(f"the table of {self._grammar} names a kind {name!r} that the grammar does not have")
        return [number for name in names.split() for number in self._by_name[name]]

    def named_kinds_of(self, names: str) -> list[int]:
        """The named ones among them."""
        return [number for number in self.kinds_of(names) if self.is_named[number]]

    def field(self, name: str) -> int:
        """Number of a field. Raises ValueError for an unknown name."""
        if not name or name not in self.fields:
            raise ValueError(f"the table of {self._grammar} names a field {name!r} that the grammar does not have")
        return self.fields.index(name)

    def unmapped(self, grammar: Grammar) -> tuple[list[str], list[str]]:
        """Named visible kinds that the table misses, and kinds that it has twice."""
        stated = [name for names in grammar.concepts.values() for name in names.split()]
        wanted = {
            kind
            for kind, named, visible in zip(self.kinds[:-1], self.is_named, self.is_visible, strict=False)
            if named and visible
        }
        return sorted(wanted - set(stated)), sorted({name for name in stated if stated.count(name) > 1})


def _concepts(grammar: Grammar, names: Names) -> npt.NDArray[np.uint8]:
    table = np.zeros(len(names.kinds), np.uint8)
    for number, (kind, named) in enumerate(zip(names.kinds, names.is_named, strict=True)):
        if not named:
            table[number] = CONCEPT_NUMBER[_token_concept(kind)]
    for concept, kinds in grammar.concepts.items():
        table[names.named_kinds_of(kinds)] = CONCEPT_NUMBER[concept]
    table[-1] = CONCEPT_NUMBER["error"]
    return table


def _token_concept(text: str) -> str:
    if _PUNCTUATION.fullmatch(text):
        return "token.punctuation"
    return "token.keyword" if _WORD.match(text) else "token.operator"


def _case_tables(cases: Sequence[Case], names: Names) -> CaseTables:
    of_kind: list[list[int]] = [[] for _ in names.kinds]
    shape = (len(cases), len(names.kinds))
    parent, child, through = np.ones(shape, np.bool_), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    held_by = np.ones((len(cases), len(names.fields)), np.bool_)
    above = np.ones((len(cases), len(CONCEPTS)), np.bool_)
    words, first_word, words_of = [], [0], np.zeros(len(cases), np.int32)
    for row, case in enumerate(cases):
        for kind in names.named_kinds_of(case.kinds):
            of_kind[kind].append(row)
        if case.parent:
            parent[row] = False
            parent[row, names.kinds_of(case.parent)] = True
        if case.parent_concept:
            above[row] = False
            above[row, [CONCEPT_NUMBER[name] for name in case.parent_concept.split()]] = True
        if case.field:
            held_by[row] = False
            held_by[row, [names.field(name) for name in case.field.split()]] = True
        if case.child:
            child[row, names.kinds_of(case.child)] = True
            through[row, names.kinds_of(case.through)] = True
        if case.words:
            words_of[row] = names.field(case.words_of) if case.words_of else ITSELF
        words += [word.encode() for word in case.words.split()]
        first_word.append(len(words))
    return CaseTables(
        first=np.cumsum([0, *(len(rows) for rows in of_kind)], dtype=np.int32),
        order=np.array([row for rows in of_kind for row in rows], np.int32),
        concept=np.array([CONCEPT_NUMBER[case.concept] for case in cases], np.uint8),
        parent=parent,
        parent_concept=above,
        field=held_by,
        child=child,
        through=through,
        needs_child=np.array([bool(case.child) for case in cases], np.bool_),
        words_of=words_of,
        first_word=np.array(first_word, np.int32),
        word_offsets=np.cumsum([0, *(len(word) for word in words)], dtype=np.int32),
        words=np.frombuffer(b"".join(words), np.uint8),
    )


def _patterns(tests: Tests) -> TestPatterns:
    name, header, callee = (
        re.compile(text.encode()) if text else None for text in (tests.name, tests.header, tests.callee)
    )
    return TestPatterns(name=name, header=header, callee=callee)


def _resolve(unit: Unit, names: Names) -> UnitPaths:
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


def _finder(path: str | Find, names: Names) -> Find:
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


def _step(step: str, names: Names) -> Find:
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
