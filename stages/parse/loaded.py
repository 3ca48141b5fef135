"""Grammars ready for use: the parser, the names of kinds and fields, and the language's table as arrays."""

import ctypes
import importlib
import pkgutil
import re
from collections.abc import Sequence
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
from stages.parse.grammar import Case, Grammar, ReadImports, Tests
from stages.parse.kinds import Kinds
from stages.parse.paths import UnitPaths, resolve_unit

ITSELF = -1
"""In place of the number of a field: the node and not a child."""

CONCEPT_NUMBER = {name: number for number, name in enumerate(CONCEPTS)}

_PUNCTUATION = re.compile(r"[()\[\]{},;:.\"'`#@\\\s]+|\.\.\.|::|\?\.|</?|/?>")
_WORD = re.compile(r"[^\W\d]|[#@$%]\w")

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


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
    names = Kinds(grammar.name, language)
    imports = {kind: entry for entry in grammar.imports for kind in names.named_kinds_of(entry.kinds)}
    units: dict[int, list[UnitPaths]] = {}
    for unit in grammar.units:
        for kind in names.named_kinds_of(unit.kinds):
            units.setdefault(kind, []).append(resolve_unit(unit, names))
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


def _concepts(grammar: Grammar, names: Kinds) -> npt.NDArray[np.uint8]:
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


def _case_tables(cases: Sequence[Case], names: Kinds) -> CaseTables:
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
