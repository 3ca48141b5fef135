"""C#."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _using(tree: Tree, node: int) -> Iterator[Imported]:
    """`using A.B;`, `using static A.B;`, `using C = A.B;`."""
    alias = tree.child(node, "name")
    path = next((child for child in tree.named(node) if child != alias), None)
    if path is not None:
        names = [] if tree.first(node, "static") is None else ["*"]
        yield node, "".join(tree.text(path).split()), names


def _lambda_name(tree: Tree, node: int) -> int | None:
    """What a lambda is directly the value of: a variable, a property, the left side of `=`; not of `+=`."""
    parent = tree.parent(node)
    if parent is None:
        return None
    kind = tree.type(parent)
    if kind in ("variable_declarator", "property_declaration"):
        return tree.child(parent, "name")
    if kind == "with_initializer":
        return tree.first(parent, "identifier")
    if kind != "assignment_expression" or tree.first(parent, "=") is None:
        return None
    left = tree.child(parent, "left")
    if left is not None and tree.type(left) == "member_access_expression":
        return tree.child(left, "name")
    return left if left is not None and tree.type(left) == "identifier" else None


def _is_struct(tree: Tree, node: int) -> bool:
    """`record struct A`."""
    return tree.first(node, "struct") is not None


_NAMES = "identifier qualified_name generic_name alias_qualified_name"

CSHARP = Grammar(
    name="csharp",
    languages=("C#",),
    distribution="tree-sitter-c-sharp",
    module="tree_sitter_c_sharp",
    concepts={
        "source": "compilation_unit",
        "comment": "comment shebang_directive",
        "declaration.function": "method_declaration constructor_declaration destructor_declaration "
        "operator_declaration conversion_operator_declaration local_function_statement",
        "declaration.class": "class_declaration struct_declaration interface_declaration record_declaration",
        "declaration.enum": "enum_declaration",
        "declaration.enum_member": "enum_member_declaration",
        "declaration.module": "namespace_declaration file_scoped_namespace_declaration",
        "declaration.import": "using_directive",
        "declaration.variable": "field_declaration property_declaration indexer_declaration event_declaration "
        "event_field_declaration local_declaration_statement",
        "declaration.declarator": "variable_declarator catch_declaration declaration_expression",
        "declaration.type": "delegate_declaration",
        "declaration.parameters": "parameter_list bracketed_parameter_list",
        "declaration.parameter": "parameter implicit_parameter function_pointer_parameter",
        "declaration.type_parameters": "type_parameter_list",
        "declaration.type_parameter": "type_parameter",
        "declaration.decorator": "attribute",
        "declaration.modifier": "modifier",
        "declaration.macro": "preproc_define",
        "declaration.other": "accessor_declaration extern_alias_directive",
        "statement.block": "block declaration_list enum_member_declaration_list switch_body accessor_list",
        "statement.expression": "expression_statement",
        "statement.assignment": "assignment_expression",
        "statement.loop": "for_statement foreach_statement while_statement do_statement",
        "statement.conditional": "if_statement",
        "statement.match": "switch_statement switch_expression",
        "statement.case": "switch_section switch_expression_arm",
        "statement.exception": "try_statement throw_statement throw_expression",
        "statement.handler": "catch_clause finally_clause",
        "statement.return": "return_statement",
        "statement.jump": "break_statement continue_statement goto_statement",
        "statement.context": "using_statement lock_statement checked_statement fixed_statement unsafe_statement",
        "statement.other": "empty_statement labeled_statement",
        "expression.call": "invocation_expression object_creation_expression implicit_object_creation_expression "
        "array_creation_expression implicit_array_creation_expression stackalloc_expression "
        "implicit_stackalloc_expression constructor_initializer primary_constructor_base_type",
        "expression.arguments": "argument_list bracketed_argument_list attribute_argument_list",
        "expression.argument": "argument attribute_argument",
        "expression.literal": "integer_literal real_literal boolean_literal null_literal character_literal "
        "string_literal verbatim_string_literal raw_string_literal interpolated_string_expression",
        "expression.interpolation": "interpolation",
        "expression.collection": "initializer_expression anonymous_object_creation_expression collection_expression "
        "tuple_expression",
        "expression.identifier": _NAMES,
        "expression.binary": "binary_expression is_expression is_pattern_expression as_expression range_expression",
        "expression.unary": "prefix_unary_expression postfix_unary_expression unary_expression sizeof_expression "
        "typeof_expression",
        "expression.member": "member_access_expression conditional_access_expression",
        "expression.index": "element_access_expression",
        "expression.lambda": "lambda_expression anonymous_method_expression",
        "expression.conditional": "conditional_expression",
        "expression.cast": "cast_expression",
        "expression.async": "await_expression",
        "expression.yield": "yield_statement",
        "expression.other": "parenthesized_expression checked_expression default_expression ref_expression "
        "with_expression makeref_expression reftype_expression refvalue_expression spread_element",
        "type.reference": "predefined_type implicit_type array_type nullable_type pointer_type ref_type scoped_type "
        "tuple_type function_pointer_type",
        "type.arguments": "type_argument_list",
        "type.clause": "base_list type_parameter_constraints_clause",
        "pattern": "constant_pattern declaration_pattern recursive_pattern var_pattern list_pattern type_pattern "
        "and_pattern or_pattern negated_pattern relational_pattern parenthesized_pattern tuple_pattern subpattern "
        "discard property_pattern_clause positional_pattern_clause parenthesized_variable_designation",
        "macro.directive": "preproc_if preproc_if_in_attribute_list preproc_elif preproc_else preproc_region "
        "preproc_endregion preproc_undef preproc_line preproc_pragma preproc_nullable preproc_error preproc_warning",
        "data.pair": "with_initializer",
        "query.statement": "query_expression",
        "query.clause": "from_clause where_clause let_clause join_clause join_into_clause order_by_clause group_clause "
        "select_clause",
        "none": "array_rank_specifier arrow_expression_clause attribute_list attribute_target_specifier "
        "calling_convention catch_filter_clause character_literal_content collection_element constructor_constraint "
        "element_binding_expression escape_sequence explicit_interface_specifier expression_element global_attribute "
        "global_statement interpolation_alignment_clause interpolation_brace interpolation_format_clause "
        "interpolation_quote interpolation_start member_binding_expression preproc_arg raw_string_content "
        "raw_string_end raw_string_start string_content string_literal_content string_literal_encoding tuple_element "
        "type_parameter_constraint variable_declaration when_clause",
    },
    cases=(
        Case(kinds="local_declaration_statement", child="using", concept="statement.context"),
        Case(kinds="variable_declaration", parent="for_statement", concept="declaration.variable"),
        # `params int[] a` has no node of its own
        Case(kinds="identifier", parent="parameter_list", field="name", concept="declaration.parameter"),
        Case(kinds="assignment_expression", parent="initializer_expression", concept="data.pair"),
        Case(kinds="tuple_expression", parent="assignment_expression", field="left", concept="pattern"),
        Case(kinds="argument", parent="tuple_expression", concept="none"),
        Case(kinds="conditional_access_expression", child="element_binding_expression", concept="expression.index"),
        Case(kinds=_NAMES, field="type returns", concept="type.reference"),
        Case(
            kinds=_NAMES,
            parent="base_list type_argument_list explicit_interface_specifier array_type nullable_type pointer_type "
            "ref_type scoped_type",
            concept="type.reference",
        ),
        Case(kinds=_NAMES, parent="as_expression is_expression", field="right", concept="type.reference"),
    ),
    units=(
        Unit(kinds="method_declaration", unit="method", returns="returns"),
        Unit(kinds="constructor_declaration", unit="constructor", returns=""),
        Unit(kinds="destructor_declaration", unit="method", returns=""),
        Unit(kinds="operator_declaration", unit="method", name="operator", returns="type"),
        Unit(kinds="conversion_operator_declaration", unit="method", name="", returns="type"),
        Unit(kinds="local_function_statement", unit="function", returns="type"),
        Unit(kinds="record_declaration", unit="struct", parameters="", returns="", when=_is_struct),
        Unit(kinds="class_declaration record_declaration", unit="class", parameters="", returns=""),
        Unit(kinds="struct_declaration", unit="struct", parameters="", returns=""),
        Unit(kinds="interface_declaration", unit="interface", parameters="", returns=""),
        Unit(kinds="enum_declaration", unit="enum", parameters="", returns=""),
        Unit(kinds="namespace_declaration", unit="module", parameters="", returns=""),
        Unit(kinds="file_scoped_namespace_declaration", unit="module", parameters="", returns="", body=""),
        Unit(kinds="lambda_expression", unit="lambda", name=_lambda_name, returns="type"),
        Unit(kinds="anonymous_method_expression", unit="lambda", name=_lambda_name, returns="", body=":block"),
    ),
    imports=(Import(kinds="using_directive", read=_using),),
    tests=Tests(
        header=r"[\[,]\s*(?:\w+\.)*(?:\w*Fact|\w*Theory|Test|TestCase|TestCaseSource|TestFixture|TestMethod|"
        r"DataTestMethod|TestClass)(?:Attribute)?\s*[\](,]"
    ),
)

GRAMMARS = (CSHARP,)
