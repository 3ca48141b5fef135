"""What a language's table says: its package, the concept of every node kind, and which nodes are units.

A table is one module of `stages.parse.languages` with a tuple `GRAMMARS`; nothing else names a language.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from schemas.ast import CONCEPTS, UNIT_KINDS
from stages.parse.tree import Tree

Find = Callable[[Tree, int], int | None]
"""A node for a node: (tree, node) to the node looked for, or None."""
Imported = tuple[int, str, list[str]]
"""An import: its node, the module path and the imported names."""
ReadImports = Callable[[Tree, int], Iterable[Imported]]

CLASS_LIKE = frozenset({"class", "struct", "interface", "trait", "enum", "scope"})
"""Units whose functions are methods."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A concept that depends on where a node stands; the first case that holds wins over the table.

    All conditions that are given must hold.
    """

    kinds: str
    """Named node kinds, separated by spaces."""
    concept: str
    parent: str = ""
    """Kinds of the parent, separated by spaces."""
    parent_concept: str = ""
    """Concepts of the parent, separated by spaces. A case whose own concept is among them holds all the way down."""
    field: str = ""
    """Names of the field by which the parent holds the node, separated by spaces."""
    child: str = ""
    """Kinds of which the node must have a child, separated by spaces."""
    through: str = ""
    """Kinds of children below which `child` is looked for too, separated by spaces."""
    words_of: str = ""
    """Field of the node whose text must be one of `words`; without it the node's own text must."""
    words: str = ""

    def __post_init__(self) -> None:
        if unknown := {self.concept, *self.parent_concept.split()} - set(CONCEPTS):
            raise ValueError(f"{unknown.pop()!r} is none of schemas.ast.CONCEPTS")
        if self.words_of and not self.words:
            raise ValueError(f"words_of={self.words_of!r} needs words")
        if self.through and not self.child:
            raise ValueError(f"through={self.through!r} needs child")
        if not (self.parent or self.parent_concept or self.field or self.child or self.words):
            raise ValueError(f"the case of {self.kinds!r} has no condition; put the kinds into `concepts`")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """Nodes that are units, and where their parts stand; of several for one kind the first whose `when` holds counts.

    A part is a path of steps separated by `/`: `name` goes to the child in that field, `name*` follows that field as
    long as there is one, `:kind` goes to the first child of that kind, `^kind` to the parent if it is of that kind.
    Several paths may be given, separated by `|`; the first that leads somewhere counts. A function may stand for them.
    """

    kinds: str
    """Named node kinds, separated by spaces."""
    unit: str
    """One of `UNIT_KINDS`, or `scope`: not a unit, but its name qualifies what stands in it, and its functions are
    methods. A `function` directly in a class-like unit becomes a `method`."""
    name: str | Find = "name"
    owner: str | Find = ""
    """A node whose text qualifies the name: the receiver of a Go method."""
    parameters: str | Find = "parameters"
    parameters_end: str | Find = ""
    """The node with which the parameters end, where they have no node of their own."""
    returns: str | Find = "return_type"
    body: str | Find = "body"
    when: Callable[[Tree, int], bool] | None = None
    """Whether such a node is a unit at all."""

    def __post_init__(self) -> None:
        if self.unit not in (*UNIT_KINDS, "scope") or self.unit == "import":
            raise ValueError(f"unit={self.unit!r} must be one of {', '.join(UNIT_KINDS[:-1])} or scope")


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """Nodes that may be imports, and what reads them."""

    kinds: str
    """Named node kinds, separated by spaces."""
    read: ReadImports
    words_of: str = ""
    """Field of the node whose text must be one of `words`: calls are many, `require` is seldom."""
    words: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tests:
    """How a language marks its tests; a unit is one if any of these regular expressions is found."""

    name: str = ""
    """In the unit's name."""
    header: str = ""
    """In the text before the name, decorators and annotations included."""
    callee: str = ""
    """At the start of the call that a lambda is an argument of."""


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """One grammar of one package."""

    name: str
    """Name in the `grammar` column."""
    languages: tuple[str, ...]
    """Linguist names that it parses."""
    distribution: str
    module: str
    entry: str = "language"
    """Function of the module that gives the grammar."""
    concepts: Mapping[str, str]
    """Concept to the named node kinds that have it, separated by spaces. Every named kind stands exactly once."""
    cases: tuple[Case, ...] = ()
    units: tuple[Unit, ...] = ()
    imports: tuple[Import, ...] = ()
    constructors: frozenset[str] = frozenset()
    """Names that make a method a constructor."""
    class_name_constructs: bool = False
    """A method named like its class is a constructor."""
    separator: str = ""
    """What separates the parts of a qualified name, where declarations may have one: `::`."""
    wrappers: str = ""
    """Kinds of nodes around a unit that belong to it: decorated definitions, templates, exports."""
    leading: str = ""
    """Kinds of nodes directly before a unit, beside it, that belong to it: decorators, attributes."""
    docstring: Find | None = None
    """The string that documents a unit, given its body."""
    asynchronous: str = "async"
    """Words, separated by spaces, of which one before the name makes a unit asynchronous; empty for none."""
    tests: Tests = Tests()

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.concepts) - set(CONCEPTS)):
            raise ValueError(f"grammar {self.name}: {unknown[0]!r} is none of schemas.ast.CONCEPTS")

    @cached_property
    def async_pattern(self) -> "re.Pattern[bytes]":
        """The words as one pattern over the bytes before a name."""
        words = [re.escape(word.encode()) for word in self.asynchronous.split()]
        return re.compile(rb"\b(?:%s)\b" % b"|".join(words) if words else rb"(?!)")


def merged(*tables: Mapping[str, str]) -> dict[str, str]:
    """Tables of concepts as one, for languages of one family."""
    concepts = dict.fromkeys(concept for table in tables for concept in table)
    return {concept: " ".join(table[concept] for table in tables if concept in table) for concept in concepts}
