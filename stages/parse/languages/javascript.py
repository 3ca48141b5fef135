"""JavaScript with JSX, and what TypeScript's tables share with it."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit, merged
from stages.parse.tree import Tree


def _unquoted(tree: Tree, string: int) -> str:
    return tree.text(string)[1:-1]


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`import d, {a as b} from 'm'`, `import 'm'`, TypeScript's `import x = require('m')`."""
    required = tree.first(node, "import_require_clause")
    source = tree.child(node if required is None else required, "source")
    if source is None:
        return
    names = []
    clause = tree.first(node, "import_clause")
    for part in () if clause is None else tree.named(clause):
        if tree.type(part) == "identifier":
            names.append("default")
        elif tree.type(part) == "namespace_import":
            names.append("*")
        else:
            names += [_specified(tree, item) for item in tree.of_type(part, "import_specifier")]
    yield node, _unquoted(tree, source), names


def _specified(tree: Tree, specifier: int) -> str:
    """The name on the other side: `a` of `a as b`."""
    name = tree.child(specifier, "name")
    return "default" if name is None else tree.text(name)


def _reexport(tree: Tree, node: int) -> Iterator[Imported]:
    """`export {a as b} from 'm'`, `export * from 'm'`."""
    source = tree.child(node, "source")
    if source is None:
        return
    clause = tree.first(node, "export_clause")
    specifiers = () if clause is None else tree.of_type(clause, "export_specifier")
    yield node, _unquoted(tree, source), ["*"] if clause is None else [_specified(tree, item) for item in specifiers]


def _required(tree: Tree, node: int) -> Iterator[Imported]:
    """`const {a, b: c} = require('m')`, `require('m').x`, `import('m')`."""
    arguments = tree.child(node, "arguments")
    argument = None if arguments is None else next(tree.named(arguments), None)
    if argument is None or not _is_literal(tree, argument):
        return
    module, declarator = _unquoted(tree, argument), node - tree.to_parent[node]
    pattern = tree.child(declarator, "name") if tree.type(declarator) == "variable_declarator" else None
    if pattern is None or tree.type(pattern) != "object_pattern":
        yield node, module, []
    else:
        yield declarator, module, [name for name in _unpacked(tree, pattern) if name]


def _is_literal(tree: Tree, node: int) -> bool:
    kind = tree.type(node)
    return kind == "string" or (kind == "template_string" and tree.first(node, "template_substitution") is None)


def _unpacked(tree: Tree, pattern: int) -> Iterator[str]:
    """The properties that a pattern of an object takes."""
    for part in tree.named(pattern):
        at: int | None = part
        if tree.type(part) == "pair_pattern":
            at = tree.child(part, "key")
        elif tree.type(part) == "object_assignment_pattern":
            at = tree.child(part, "left")
        elif tree.type(part) != "shorthand_property_identifier_pattern":
            continue
        yield "" if at is None else tree.text(at)


CONCEPTS = {
    "source": "program",
    "comment": "comment hash_bang_line html_comment",
    "declaration.function": "function_declaration generator_function_declaration method_definition",
    "declaration.class": "class class_declaration",
    "declaration.import": "import_statement",
    "declaration.variable": "lexical_declaration variable_declaration",
    "declaration.declarator": "variable_declarator",
    "declaration.parameters": "formal_parameters",
    "declaration.decorator": "decorator",
    "declaration.other": "export_statement class_static_block",
    "statement.block": "statement_block class_body switch_body",
    "statement.expression": "expression_statement",
    "statement.assignment": "assignment_expression augmented_assignment_expression",
    "statement.loop": "for_statement for_in_statement while_statement do_statement",
    "statement.conditional": "if_statement",
    "statement.branch": "else_clause",
    "statement.match": "switch_statement",
    "statement.case": "switch_case switch_default",
    "statement.exception": "try_statement throw_statement",
    "statement.handler": "catch_clause finally_clause",
    "statement.return": "return_statement",
    "statement.jump": "break_statement continue_statement",
    "statement.context": "with_statement",
    "statement.other": "labeled_statement empty_statement debugger_statement",
    "expression.call": "call_expression new_expression",
    "expression.arguments": "arguments",
    "expression.literal": "number string template_string true false null regex",
    "expression.interpolation": "template_substitution",
    "expression.collection": "array object",
    "expression.identifier": "identifier property_identifier private_property_identifier "
    "shorthand_property_identifier shorthand_property_identifier_pattern statement_identifier import super this "
    "undefined",
    "expression.binary": "binary_expression",
    "expression.unary": "unary_expression update_expression",
    "expression.member": "member_expression",
    "expression.index": "subscript_expression",
    "expression.lambda": "arrow_function function_expression generator_function",
    "expression.conditional": "ternary_expression",
    "expression.async": "await_expression",
    "expression.yield": "yield_expression",
    "expression.other": "parenthesized_expression sequence_expression spread_element meta_property",
    "pattern": "array_pattern object_pattern assignment_pattern object_assignment_pattern pair_pattern rest_pattern",
    "data.pair": "pair",
    "markup.text": "jsx_text",
    "none": "computed_property_name escape_sequence export_clause export_specifier import_attribute import_clause "
    "import_specifier named_imports namespace_export namespace_import optional_chain regex_flags regex_pattern "
    "string_fragment",
}
"""Concepts of the kinds that JavaScript, TypeScript and TSX have in common."""

JSX_CONCEPTS = {
    "markup.element": "jsx_element jsx_self_closing_element",
    "markup.attribute": "jsx_attribute",
    "markup.text": "html_character_reference",
    "none": "jsx_opening_element jsx_closing_element jsx_expression jsx_namespace_name",
}
"""Concepts of the kinds that grammars with JSX have on top."""

CASES = (
    Case(
        kinds="identifier object_pattern array_pattern assignment_pattern rest_pattern",
        parent="formal_parameters",
        concept="declaration.parameter",
    ),
    Case(kinds="identifier", parent="arrow_function", field="parameter", concept="declaration.parameter"),
    Case(kinds="object", parent="import_attribute", concept="none"),
)
JSX_CASES = (
    Case(
        kinds="member_expression",
        parent="jsx_opening_element jsx_closing_element jsx_self_closing_element",
        field="name",
        concept="expression.identifier",
    ),
    Case(
        kinds="jsx_expression",
        parent="jsx_opening_element jsx_self_closing_element",
        field="attribute",
        concept="markup.attribute",
    ),
)

KEY_NAME = "name/:string_fragment|name"
"""A name that may be a string."""
_ASSIGNMENT = "^assignment_expression augmented_assignment_expression"
VALUE_NAME = (
    "name|^variable_declarator/name|^pair/key/:string_fragment|^pair/key"
    f"|{_ASSIGNMENT}/left/property|{_ASSIGNMENT}/left/index/:string_fragment|{_ASSIGNMENT}/:identifier"
)
"""The name of a lambda or class: its own, else of what it is the value of."""

IMPORTS = (
    Import(kinds="import_statement", read=_import),
    Import(kinds="export_statement", read=_reexport),
    Import(kinds="call_expression", read=_required, words_of="function", words="require import"),
)

TESTS = Tests(
    callee=r"(?s)(?:QUnit\.|Deno\.)?(?:[fx]?(?:describe|it|test|specify)\b|(?:context|suite)(?=\s*\(\s*[\"'`]))"
    r"(?:\.\w+)*(?:\(.*\)|`.*`)?\s*\("
)
"""Lambdas given to `describe`, `it`, `test.each(...)` and the like."""

JAVASCRIPT = Grammar(
    name="javascript",
    languages=("JavaScript",),
    distribution="tree-sitter-javascript",
    module="tree_sitter_javascript",
    concepts=merged(
        CONCEPTS,
        JSX_CONCEPTS,
        {"declaration.variable": "field_definition using_declaration", "type.clause": "class_heritage"},
    ),
    cases=CASES + JSX_CASES,
    units=(
        Unit(kinds="function_declaration generator_function_declaration", unit="function", returns=""),
        Unit(kinds="method_definition", unit="method", name=KEY_NAME, returns=""),
        Unit(
            kinds="arrow_function function_expression generator_function",
            unit="lambda",
            name=f"{VALUE_NAME}|^field_definition/property/:string_fragment|^field_definition/property",
            parameters="parameters|parameter",
            returns="",
        ),
        Unit(kinds="class_declaration class", unit="class", name=VALUE_NAME, parameters="", returns=""),
    ),
    imports=IMPORTS,
    constructors=frozenset({"constructor"}),
    wrappers="export_statement",
    tests=TESTS,
)

GRAMMARS = (JAVASCRIPT,)
