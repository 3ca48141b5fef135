"""Swift."""

from collections.abc import Callable, Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree

_TYPES = (
    "user_type",
    "array_type",
    "dictionary_type",
    "existential_type",
    "function_type",
    "metatype",
    "opaque_type",
    "optional_type",
    "protocol_composition_type",
    "suppressed_constraint",
    "tuple_type",
)


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`import A.B`; `import struct A.B.c` imports one declaration."""
    path = tree.first(node, "identifier")
    if path is None:
        return
    text = "".join(tree.text(path).split())
    is_of_one = tree.first(node, "typealias", "struct", "class", "enum", "protocol", "let", "var", "func") is not None
    module, _, name = text.rpartition(".")
    yield node, (module or text) if is_of_one else text, [name] if is_of_one and module else []


def _returns(tree: Tree, node: int) -> int | None:
    """The type after the arrow; a function has other types in the same field."""
    arrow = tree.first(node, "->")
    return None if arrow is None else next((child for child in tree.of_type(node, *_TYPES) if child > arrow), None)


def _lambda_returns(tree: Tree, node: int) -> int | None:
    signature = tree.child(node, "type")
    return None if signature is None else _returns(tree, signature)


def _lambda_name(tree: Tree, node: int) -> int | None:
    """The variable or member that a closure is directly the value of."""
    parent = node - tree.to_parent[node]
    if tree.type(parent) == "property_declaration":
        before = node - 1
        while before > parent and tree.type(before) != "pattern":
            before -= 1 if before - tree.to_parent[before] == parent else tree.to_parent[before]
        return tree.child(before, "bound_identifier") if before > parent else None
    if tree.type(parent) != "assignment":
        return None
    target = tree.child(parent, "target")
    written = None if target is None else tree.first(target, "simple_identifier", "navigation_expression")
    if written is None or tree.type(written) == "simple_identifier":
        return written
    suffix = tree.child(written, "suffix")
    return None if suffix is None else tree.child(suffix, "suffix")


def _is(*words: str) -> Callable[[Tree, int], bool]:
    """Whether the declaration begins with one of these words."""

    def holds(tree: Tree, node: int) -> bool:
        word = tree.child(node, "declaration_kind")
        return word is not None and tree.text(word) in words

    return holds


SWIFT = Grammar(
    name="swift",
    languages=("Swift",),
    distribution="tree-sitter-swift",
    module="tree_sitter_swift",
    concepts={
        "source": "source_file",
        "comment": "comment multiline_comment shebang_line",
        "declaration.function": "function_declaration init_declaration deinit_declaration subscript_declaration "
        "protocol_function_declaration",
        "declaration.class": "class_declaration protocol_declaration",
        "declaration.enum_member": "enum_entry",
        "declaration.import": "import_declaration",
        "declaration.variable": "property_declaration protocol_property_declaration",
        "declaration.type": "typealias_declaration associatedtype_declaration",
        "declaration.parameters": "lambda_function_type_parameters enum_type_parameters",
        "declaration.parameter": "parameter lambda_parameter",
        "declaration.type_parameters": "type_parameters",
        "declaration.type_parameter": "type_parameter",
        "declaration.decorator": "attribute",
        "declaration.modifier": "function_modifier inheritance_modifier member_modifier mutation_modifier "
        "ownership_modifier parameter_modifier property_behavior_modifier property_modifier throws visibility_modifier",
        "declaration.macro": "macro_declaration",
        "declaration.other": "computed_getter computed_modify computed_setter didset_clause willset_clause "
        "operator_declaration precedence_group_declaration",
        "statement.block": "class_body enum_class_body protocol_body function_body statements computed_property "
        "willset_didset_block do_statement",
        "statement.assignment": "assignment",
        "statement.loop": "for_statement while_statement repeat_while_statement",
        "statement.conditional": "if_statement guard_statement",
        "statement.match": "switch_statement",
        "statement.case": "switch_entry",
        "statement.handler": "catch_block",
        "statement.jump": "control_transfer_statement",
        "statement.other": "discard_statement",
        "expression.call": "call_expression constructor_expression",
        "expression.arguments": "value_arguments",
        "expression.argument": "value_argument",
        "expression.literal": "integer_literal hex_literal oct_literal bin_literal real_literal boolean_literal "
        "nil_literal line_string_literal multi_line_string_literal raw_string_literal regex_literal special_literal "
        "playground_literal",
        "expression.interpolation": "interpolated_expression raw_str_interpolation",
        "expression.collection": "array_literal dictionary_literal",
        "expression.identifier": "simple_identifier identifier self_expression super_expression",
        "expression.binary": "additive_expression multiplicative_expression comparison_expression equality_expression "
        "conjunction_expression disjunction_expression bitwise_operation infix_expression nil_coalescing_expression "
        "range_expression check_expression",
        "expression.unary": "prefix_expression postfix_expression try_expression consume_expression unsafe_expression "
        "open_end_range_expression open_start_range_expression",
        "expression.member": "navigation_expression",
        "expression.lambda": "lambda_literal",
        "expression.conditional": "ternary_expression",
        "expression.cast": "as_expression",
        "expression.async": "await_expression",
        "expression.other": "_expression availability_condition fully_open_range key_path_expression "
        "key_path_string_expression selector_expression tuple_expression value_pack_expansion value_parameter_pack",
        "type.reference": "user_type type_identifier array_type dictionary_type tuple_type function_type optional_type "
        "metatype opaque_type existential_type protocol_composition_type bracket_qualified_type suppressed_constraint "
        "type_pack_expansion type_parameter_pack",
        "type.arguments": "type_arguments",
        "type.clause": "type_annotation type_constraints inheritance_specifier throws_clause",
        "pattern": "pattern switch_pattern wildcard_pattern",
        "macro.directive": "directive diagnostic",
        "macro.use": "macro_invocation",
        "none": "as_operator bang call_suffix capture_list capture_list_item catch_keyword constructor_suffix "
        "custom_operator default_keyword deprecated_operator_declaration_body directly_assignable_expression else "
        "equality_constraint external_macro_definition getter_specifier inheritance_constraint lambda_function_type "
        "line_str_text macro_definition modifiers modify_specifier multi_line_str_text navigation_suffix "
        "parameter_modifiers precedence_group_attribute precedence_group_attributes protocol_property_requirements "
        "raw_str_continuing_indicator raw_str_end_part raw_str_interpolation_start raw_str_part setter_specifier "
        "statement_label str_escaped_char throw_keyword try_operator tuple_type_item type_constraint type_modifiers "
        "type_parameter_modifiers value_argument_label value_binding_pattern where_clause where_keyword",
    },
    cases=(
        Case(kinds="class_declaration", words_of="declaration_kind", words="enum", concept="declaration.enum"),
        Case(
            kinds="type_identifier",
            parent="class_declaration protocol_declaration typealias_declaration associatedtype_declaration",
            field="name",
            concept="expression.identifier",
        ),
        Case(kinds="type_identifier", parent="type_parameter", concept="expression.identifier"),
        Case(
            kinds="pattern",
            parent="property_declaration protocol_property_declaration",
            concept="declaration.declarator",
        ),
        # the braces of these belong to the node around the statements
        Case(kinds="statements", parent="function_body computed_property", concept="none"),
        Case(kinds="do_statement", child="catch_block", concept="statement.exception"),
        Case(kinds="control_transfer_statement", child="throw_keyword", concept="statement.exception"),
        Case(kinds="control_transfer_statement", child="return", concept="statement.return"),
        Case(kinds="control_transfer_statement", child="yield", concept="expression.yield"),
        # `.north` is a member of a type that goes without saying
        Case(kinds="prefix_expression", child=".", concept="expression.member"),
        Case(kinds="tuple_expression", child=",", concept="expression.collection"),
    ),
    units=(
        Unit(
            kinds="function_declaration protocol_function_declaration",
            unit="function",
            parameters=":(",
            parameters_end=":)",
            returns=_returns,
        ),
        Unit(kinds="init_declaration", unit="constructor", parameters=":(", parameters_end=":)", returns=""),
        Unit(kinds="deinit_declaration", unit="method", name=":deinit", parameters="", returns=""),
        Unit(
            kinds="subscript_declaration",
            unit="method",
            name=":subscript",
            parameters=":(",
            parameters_end=":)",
            returns=_returns,
            body=":computed_property",
        ),
        Unit(kinds="protocol_declaration", unit="interface", parameters="", returns=""),
        Unit(kinds="class_declaration", unit="struct", parameters="", returns="", when=_is("struct")),
        Unit(kinds="class_declaration", unit="enum", parameters="", returns="", when=_is("enum")),
        Unit(kinds="class_declaration", unit="scope", parameters="", returns="", when=_is("extension")),
        Unit(kinds="class_declaration", unit="class", parameters="", returns="", when=_is("class", "actor")),
        Unit(
            kinds="lambda_literal",
            unit="lambda",
            name=_lambda_name,
            parameters="type/:(|type/:lambda_function_type_parameters",
            parameters_end="type/:)|type/:lambda_function_type_parameters",
            returns=_lambda_returns,
            body=":statements",
        ),
    ),
    imports=(Import(kinds="import_declaration", read=_import),),
    tests=Tests(name=r"^test(?:[A-Z_\d]|$)|^[A-Z]\w*Tests?$", header=r"@Test\b"),
)

GRAMMARS = (SWIFT,)
"""Swift's table."""
