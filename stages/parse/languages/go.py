"""Go."""

from collections.abc import Callable, Iterator
from itertools import islice

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree

_VALUES = 256
"""Values of one declaration among which a lambda is looked for."""


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    path, name = tree.child(node, "path"), tree.child(node, "name")
    if path is not None:
        yield node, tree.text(path)[1:-1], ["*"] if name is not None and tree.type(name) == "dot" else []


def _receiver(tree: Tree, node: int) -> int | None:
    """`T` of `(t *T[K])`."""
    receiver = tree.child(node, "receiver")
    if receiver is None:
        return None
    return next((at for at in range(receiver, tree.last[receiver]) if tree.type(at) == "type_identifier"), None)


def _declared(*, alone: bool, kind: str) -> Callable[[Tree, int], bool]:
    """Whether a `type` declaration, or one specification of several in parentheses, defines a struct or interface."""

    def declares(tree: Tree, node: int) -> bool:
        declaration = node if alone else node - tree.to_parent[node]
        specification = tree.first(node, "type_spec") if alone else node
        is_alone = tree.first(declaration, "(") is None
        return is_alone == alone and specification is not None and tree.first(specification, kind) is not None

    return declares


def _value_name(tree: Tree, node: int) -> int | None:
    """The variable, field or key that a lambda is the value of."""
    values = node - tree.to_parent[node]
    holder = values - tree.to_parent[values]
    if tree.type(values) == "literal_element" and tree.type(holder) == "keyed_element":
        return _written_name(tree, tree.child(holder, "key"))
    if tree.type(values) != "expression_list":
        return None
    position = next((at for at, value in enumerate(islice(tree.named(values), _VALUES)) if value == node), None)
    if position is None:
        return None
    if tree.type(holder) == "var_spec":
        names = list(islice(tree.in_field(holder, "name"), _VALUES))
    elif tree.type(holder) in ("short_var_declaration", "assignment_statement"):
        left = tree.child(holder, "left")
        names = [] if left is None else list(islice(tree.named(left), _VALUES))
    else:
        return None
    return _written_name(tree, names[position]) if position < len(names) else None


def _written_name(tree: Tree, node: int | None) -> int | None:
    """The name in what stands left of a value: `b` of `a.b`, `k` of `a["k"]`."""
    while node is not None:
        kind = tree.type(node)
        if kind in ("identifier", "field_identifier", "interpreted_string_literal_content"):
            return node
        if kind == "literal_element":
            node = next(tree.named(node), None)
        elif kind == "selector_expression":
            node = tree.child(node, "field")
        elif kind == "index_expression":
            index = tree.child(node, "index")
            node = index if index is not None and tree.type(index) == "interpreted_string_literal" else None
        elif kind == "interpreted_string_literal":
            node = tree.first(node, "interpreted_string_literal_content")
        else:
            return None
    return None


GO = Grammar(
    name="go",
    languages=("Go",),
    distribution="tree-sitter-go",
    module="tree_sitter_go",
    concepts={
        "source": "source_file",
        "comment": "comment",
        "declaration.function": "function_declaration method_declaration method_elem",
        "declaration.module": "package_clause",
        "declaration.import": "import_spec",
        "declaration.variable": "var_declaration const_declaration short_var_declaration field_declaration",
        "declaration.declarator": "var_spec const_spec",
        "declaration.type": "type_spec type_alias",
        "declaration.parameters": "parameter_list",
        "declaration.parameter": "parameter_declaration variadic_parameter_declaration",
        "declaration.type_parameters": "type_parameter_list",
        "declaration.type_parameter": "type_parameter_declaration",
        "statement.block": "block field_declaration_list",
        "statement.expression": "expression_statement",
        "statement.assignment": "assignment_statement",
        "statement.loop": "for_statement",
        "statement.conditional": "if_statement",
        "statement.match": "expression_switch_statement type_switch_statement select_statement",
        "statement.case": "expression_case type_case default_case communication_case",
        "statement.return": "return_statement",
        "statement.jump": "break_statement continue_statement goto_statement fallthrough_statement",
        "statement.context": "defer_statement",
        "statement.other": "empty_statement labeled_statement send_statement receive_statement",
        "expression.call": "call_expression type_conversion_expression",
        "expression.arguments": "argument_list",
        "expression.literal": "int_literal float_literal imaginary_literal rune_literal interpreted_string_literal "
        "raw_string_literal true false nil iota",
        "expression.collection": "composite_literal",
        "expression.identifier": "identifier blank_identifier field_identifier label_name package_identifier",
        "expression.binary": "binary_expression",
        "expression.unary": "unary_expression inc_statement dec_statement",
        "expression.member": "selector_expression",
        "expression.index": "index_expression slice_expression",
        "expression.lambda": "func_literal",
        "expression.cast": "type_assertion_expression",
        "expression.async": "go_statement",
        "expression.other": "parenthesized_expression type_instantiation_expression variadic_argument",
        "type.reference": "type_identifier qualified_type generic_type pointer_type array_type slice_type map_type "
        "channel_type function_type struct_type interface_type implicit_length_array_type parenthesized_type "
        "negated_type type_elem",
        "type.arguments": "type_arguments",
        "type.clause": "type_constraint",
        "data.pair": "keyed_element",
        "none": "dot escape_sequence expression_list for_clause import_declaration import_spec_list "
        "interpreted_string_literal_content literal_element literal_value range_clause raw_string_literal_content "
        "statement_list type_declaration var_spec_list",
    },
    cases=(
        Case(kinds="type_spec", child="struct_type interface_type", concept="declaration.class"),
        Case(kinds="type_identifier", parent="type_spec type_alias", field="name", concept="expression.identifier"),
        Case(kinds="receive_statement", child=":=", concept="declaration.variable"),
        Case(kinds="receive_statement", child="=", concept="statement.assignment"),
    ),
    units=(
        Unit(kinds="function_declaration", unit="function", returns="result"),
        Unit(kinds="method_declaration", unit="method", owner=_receiver, returns="result"),
        Unit(kinds="method_elem", unit="method", returns="result", body=""),
        Unit(kinds="func_literal", unit="lambda", name=_value_name, returns="result"),
        *(
            Unit(
                kinds="type_declaration" if alone else "type_spec",
                unit=unit,
                name=":type_spec/name" if alone else "name",
                parameters="",
                returns="",
                body=f"{':type_spec/' if alone else ''}:{kind}",
                when=_declared(alone=alone, kind=kind),
            )
            for alone in (True, False)
            for unit, kind in (("struct", "struct_type"), ("interface", "interface_type"))
        ),
        Unit(kinds="package_clause", unit="module", name=":package_identifier", parameters="", returns="", body=""),
    ),
    imports=(Import(kinds="import_spec", read=_import),),
    tests=Tests(name=r"^(?:Test|Benchmark|Fuzz|Example)(?![a-z])", callee=r"[tb]\.Run\("),
)

GRAMMARS = (GO,)
