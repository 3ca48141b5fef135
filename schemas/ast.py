"""Syntax trees: one schema for all languages, a sidecar row per document.

A tree is stored as columns in pre-order, without text: offsets point into the UTF-8 bytes of the document's `text`.
Kinds and fields are numbers of the grammar; their names travel in the metadata of the schema (`GRAMMARS_KEY`).
"""

import pyarrow as pa

from schemas.columns import columns

CONCEPTS = {
    "none": "nothing of its own: wrappers, parts of literals",
    "source": "the root of a file",
    "error": "what the parser could not read",
    "comment": "a comment",
    "declaration.function": "a function, method or constructor, with or without body; not a lambda",
    "declaration.class": "a class, struct, union, interface, trait, record, object, implementation or extension",
    "declaration.enum": "an enumeration",
    "declaration.enum_member": "one of its members",
    "declaration.module": "a module, namespace or package",
    "declaration.import": "an import, include, use, using or require",
    "declaration.variable": "a declaration of variables, constants, fields or properties: one per statement",
    "declaration.declarator": "the part of a declaration that names and initialises one variable",
    "declaration.type": "a type alias or another definition of a type that is no class and no enumeration",
    "declaration.parameters": "the list of parameters of a function",
    "declaration.parameter": "one parameter of a function or lambda",
    "declaration.type_parameters": "the list of type parameters",
    "declaration.type_parameter": "one type parameter of a generic declaration",
    "declaration.decorator": "a decorator, annotation or attribute",
    "declaration.modifier": "visibility, storage class, `async`, `static` and the like",
    "declaration.macro": "a macro definition",
    "declaration.other": "another declaration: exports, operators, initialisers of objects",
    "statement.block": "a body: block, compound statement, body of a class",
    "statement.expression": "an expression that stands as a statement",
    "statement.assignment": "an assignment, augmented ones too",
    "statement.loop": "for, while, until, do, loop",
    "statement.conditional": "if, unless, elif",
    "statement.branch": "an else clause",
    "statement.match": "switch, match, select",
    "statement.case": "one arm of it",
    "statement.exception": "try, throw, raise",
    "statement.handler": "a catch, except, rescue, finally or ensure clause",
    "statement.return": "return",
    "statement.jump": "break, continue, next, goto, fallthrough",
    "statement.context": "a statement around a body: with, using, lock, synchronized, defer, unsafe",
    "statement.other": "another statement: assert, pass, delete, labels, empty statements",
    "expression.call": "a call, also of a constructor",
    "expression.arguments": "the list of arguments of a call",
    "expression.argument": "one argument that has a node of its own, such as a keyword argument",
    "expression.literal": "a number, string, character, truth value, null, regular expression or symbol",
    "expression.interpolation": "an expression inside a string",
    "expression.collection": "a list, tuple, set, map, array or object written out",
    "expression.comprehension": "a comprehension or generator expression",
    "expression.identifier": "a name, `this`, `self` and `super` too",
    "expression.binary": "an operator between two operands: arithmetic, comparison, logic, membership, range",
    "expression.unary": "an operator on one operand, increments and dereferences too",
    "expression.member": "access to a member: `a.b`, `a::b`",
    "expression.index": "access by index or slice",
    "expression.lambda": "an anonymous function",
    "expression.conditional": "a conditional operator",
    "expression.cast": "a conversion or assertion of type",
    "expression.async": "await, go, spawn",
    "expression.yield": "yield",
    "expression.other": "another expression: parentheses, sequences, spreads",
    "type.reference": "a type where it is used: named, generic, array, pointer, function type",
    "type.arguments": "the list of type arguments",
    "type.clause": "what a declaration extends, implements, throws or requires; a type annotation",
    "pattern": "a pattern: destructuring, arms of a match",
    "macro.directive": "a directive of a preprocessor or compiler",
    "macro.use": "a macro invocation",
    "markup.element": "an element of a document: tag, heading, list, block",
    "markup.attribute": "an attribute of an element",
    "markup.text": "running text",
    "data.pair": "a key with a value",
    "style.rule": "a rule of a style sheet",
    "style.selector": "a selector of a style sheet",
    "query.statement": "a statement of a query language",
    "query.clause": "a clause of such a statement",
    "token.keyword": "an anonymous node of letters",
    "token.operator": "an anonymous node that is an operator",
    "token.punctuation": "an anonymous node that separates or encloses",
}
"""The universal concepts with what each means; a concept's number is its position."""

UNIT_KINDS = (
    "function",
    "method",
    "constructor",
    "lambda",
    "class",
    "struct",
    "interface",
    "trait",
    "enum",
    "module",
    "import",
)
"""What a unit can be."""

STATUSES = {
    "parsed": "the tree is there",
    "no-text": "the document has no text; see `problem`",
    "no-grammar": "no grammar for the language of the document",
    "oversize": "larger than max_source_bytes",
    "timeout": "the parser took more than max_seconds",
    "memory": "the parser took more than max_memory_bytes",
    "crash": "the parser ended abnormally",
    "unreadable": "the published row holds no tree that can be read",
}
"""Why a document has a tree, or none."""

NAMED, ERROR, MISSING, EXTRA, HIDDEN = 1, 2, 4, 8, 16
"""Bits of `flags`. Hidden: a missing node that the grammar hides and that only error recovery shows."""

GRAMMARS_KEY = b"gristmill:grammars"
"""Key of the schema's metadata. Value: JSON, grammar name to {version, kinds, fields}, lists indexed by number."""

ERROR_KIND = 65_535
"""`kind` of an ERROR node, in every grammar."""


def _stored(name: str, kind: pa.DataType, encoding: str, *, nullable: bool = True) -> pa.Field:
    """A field with the encoding that suits it in Parquet (`pipeline.parquet`)."""
    return pa.field(name, kind, nullable=nullable, metadata={"parquet": encoding})


def _list(name: str, kind: pa.DataType, encoding: str) -> pa.Field:
    return pa.field(name, pa.list_(_stored("element", kind, encoding, nullable=False)))


AST = columns(
    pa.field("ast_status", pa.string(), nullable=False),
    pa.field("grammar", pa.string()),
    pa.field("grammar_version", pa.string()),
    pa.field("ast_nodes", pa.int32()),
    pa.field("ast_errors", pa.int32()),
    pa.field("ast_missing", pa.int32()),
    pa.field("ast_depth", pa.int32()),
    pa.field("ast_lossless", pa.bool_()),
    _list("ast_unexpected", pa.int32(), "dictionary"),
    _list("node_kind", pa.uint16(), "dictionary"),
    _list("node_concept", pa.uint8(), "split"),
    _list("node_to_parent", pa.int32(), "split"),
    _list("node_start", pa.int32(), "delta"),
    _list("node_length", pa.int32(), "split"),
    _list("node_field", pa.uint8(), "split"),
    _list("node_flags", pa.uint8(), "dictionary"),
)
"""The tree of each document, nodes in pre-order; all but `ast_status` is null where there is no tree.

ast_status: a key of `STATUSES`.
grammar, grammar_version: which grammar made it, and the release of its package.
ast_nodes: nodes, anonymous ones too. ast_errors, ast_missing: ERROR and MISSING nodes among them.
ast_depth: nodes on the longest way from the root to a leaf.
ast_lossless: leaves and the gaps between them, put together, are the bytes of the text.
ast_unexpected: for each ERROR node without children, in order, the code point at which the lexer gave up: -1 where it
is no UTF-8, -2 where the parser and not the lexer gave up.
node_kind: number of the node's kind in the grammar; `ERROR_KIND` for ERROR. node_concept: position in `CONCEPTS`.
node_to_parent: how many nodes back the parent stands: node i has the parent i - node_to_parent[i]; 0 for the root.
node_start, node_length: bytes of the text's UTF-8 that the node covers.
node_field: number of the field by which the parent holds the node; 0 for none. node_flags: sum of `NAMED` and so on.
"""

_UNIT = pa.struct(
    [
        _stored("kind", pa.string(), "dictionary", nullable=False),
        _stored("name", pa.string(), "dictionary"),
        _stored("qualified_name", pa.string(), "dictionary"),
        _stored("parent", pa.int32(), "dictionary"),
        _stored("node", pa.int32(), "delta", nullable=False),
        _stored("start", pa.int32(), "delta", nullable=False),
        _stored("end", pa.int32(), "delta", nullable=False),
        *(
            _stored(f"{part}_{side}", pa.int32(), "delta")
            for part in ("name", "parameters", "returns", "body", "doc")
            for side in ("start", "end")
        ),
        _stored("module", pa.string(), "dictionary"),
        pa.field("names", pa.list_(_stored("element", pa.string(), "dictionary", nullable=False))),
        pa.field("is_async", pa.bool_(), nullable=False),
        pa.field("is_test", pa.bool_(), nullable=False),
    ]
)

UNITS = columns(pa.field("units", pa.list_(pa.field("element", _UNIT, nullable=False))))
"""The units of each document in the order of the text; null where there is no tree.

kind: one of `UNIT_KINDS`. name: as written; null for what has none. qualified_name: names of the enclosing named units
and the own one, joined by `.`; null also beyond 4,096 characters.
parent: position in `units` of the unit around it; null at the top.
node: its node in the tree. start, end: bytes of the text's UTF-8, end exclusive, as for all parts below.
name, parameters, returns, body: where these parts stand; null where the unit has none. doc: its docstring or the
comment directly before it.
module, names: of an import, the module path and the imported names as written, `*` for all; null for other units, and
for imports of more than 65,536 characters or hundreds of levels.
is_async: declared to run asynchronously. is_test: a test by the conventions of its language.
"""
