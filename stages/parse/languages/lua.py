"""Lua."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _content(tree: Tree, string: int) -> int | None:
    """A string without its quotes."""
    return tree.child(string, "content")


def _require(tree: Tree, node: int) -> Iterator[Imported]:
    """`require("a.b")`, `require "a.b"`."""
    arguments = tree.child(node, "arguments")
    given = [] if arguments is None else list(tree.named(arguments))
    if len(given) == 1 and tree.type(given[0]) == "string" and (content := _content(tree, given[0])) is not None:
        yield node, tree.text(content), []


def _target_name(tree: Tree, target: int) -> int | None:
    """The last part of what is assigned to: `f` in `a.f = ` and `a["f"] = `."""
    kind = tree.type(target)
    if kind == "dot_index_expression":
        return tree.child(target, "field")
    if kind == "bracket_index_expression":
        key = tree.child(target, "field")
        return _content(tree, key) if key is not None and tree.type(key) == "string" else None
    return target if kind == "identifier" else None


def _lambda_name(tree: Tree, node: int) -> int | None:
    """The variable or key of a table that a function is directly the value of."""
    parent = node - tree.to_parent[node]
    if tree.type(parent) == "field":
        key = tree.child(parent, "name")
        return _content(tree, key) if key is not None and tree.type(key) == "string" else key
    assignment = parent - tree.to_parent[parent]
    if tree.type(parent) != "expression_list" or tree.type(assignment) != "assignment_statement":
        return None
    targets = tree.first(assignment, "variable_list")
    if targets is None:
        return None
    place = list(tree.in_field(parent, "value")).index(node)
    names = list(tree.in_field(targets, "name"))
    return _target_name(tree, names[place]) if place < len(names) else None


LUA = Grammar(
    name="lua",
    languages=("Lua",),
    distribution="tree-sitter-lua",
    module="tree_sitter_lua",
    concepts={
        "source": "chunk",
        "comment": "comment hash_bang_line",
        "declaration.function": "function_declaration",
        "declaration.variable": "variable_declaration implicit_variable_declaration",
        "declaration.parameters": "parameters",
        "declaration.modifier": "attribute",
        "statement.block": "block",
        "statement.assignment": "assignment_statement",
        "statement.loop": "for_statement while_statement repeat_statement",
        "statement.conditional": "if_statement elseif_statement",
        "statement.branch": "else_statement",
        "statement.return": "return_statement",
        "statement.jump": "break_statement goto_statement",
        "statement.context": "do_statement",
        "statement.other": "empty_statement label_statement",
        "expression.call": "function_call",
        "expression.arguments": "arguments",
        "expression.literal": "number string true false nil",
        "expression.collection": "table_constructor",
        "expression.identifier": "identifier",
        "expression.binary": "binary_expression",
        "expression.unary": "unary_expression",
        "expression.member": "dot_index_expression method_index_expression",
        "expression.index": "bracket_index_expression",
        "expression.lambda": "function_definition",
        "expression.other": "parenthesized_expression vararg_expression",
        "none": "comment_content escape_sequence expression_list field for_generic_clause for_numeric_clause "
        "string_content variable_list",
    },
    cases=(
        Case(kinds="function_call", words_of="name", words="require", concept="declaration.import"),
        Case(kinds="assignment_statement", parent="variable_declaration", concept="declaration.declarator"),
        Case(kinds="identifier vararg_expression", parent="parameters", concept="declaration.parameter"),
        Case(kinds="field", child="=", concept="data.pair"),
        # the name of a function is no access to a member
        Case(
            kinds="dot_index_expression method_index_expression",
            parent="function_declaration",
            concept="expression.identifier",
        ),
        Case(
            kinds="dot_index_expression",
            parent="dot_index_expression method_index_expression",
            parent_concept="expression.identifier",
            concept="expression.identifier",
        ),
    ),
    units=(
        Unit(
            kinds="function_declaration",
            unit="function",
            name="name/method|name/field|name",
            owner="name/table",
            returns="",
        ),
        Unit(kinds="function_definition", unit="lambda", name=_lambda_name, returns=""),
    ),
    imports=(Import(kinds="function_call", read=_require, words_of="name", words="require"),),
    tests=Tests(name=r"^test(?:_|[A-Z])", callee=r"(?:it|test)\s*\("),
)

GRAMMARS = (LUA,)
"""Lua's table."""
