"""Java."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`import a.b.C;`, `import a.b.*;`, `import static a.B.c;`."""
    path = tree.first(node, "scoped_identifier", "identifier")
    if path is None:
        return
    text = "".join(tree.text(path).split())
    if tree.first(node, "asterisk") is not None:
        yield node, text, ["*"]
    else:
        module, _, name = text.rpartition(".")
        yield node, module, [name]


def _requires(tree: Tree, node: int) -> Iterator[Imported]:
    """`requires transitive a.b;` in a module declaration."""
    module = tree.child(node, "module")
    if module is not None:
        yield node, tree.text(module), []


JAVA = Grammar(
    name="java",
    languages=("Java",),
    distribution="tree-sitter-java",
    module="tree_sitter_java",
    concepts={
        "source": "program",
        "comment": "line_comment block_comment",
        "declaration.function": "method_declaration constructor_declaration compact_constructor_declaration "
        "annotation_type_element_declaration",
        "declaration.class": "class_declaration interface_declaration record_declaration annotation_type_declaration",
        "declaration.enum": "enum_declaration",
        "declaration.enum_member": "enum_constant",
        "declaration.module": "package_declaration module_declaration",
        "declaration.import": "import_declaration requires_module_directive",
        "declaration.variable": "field_declaration constant_declaration local_variable_declaration",
        "declaration.declarator": "variable_declarator catch_formal_parameter",
        "declaration.parameters": "formal_parameters inferred_parameters",
        "declaration.parameter": "formal_parameter spread_parameter receiver_parameter",
        "declaration.type_parameters": "type_parameters",
        "declaration.type_parameter": "type_parameter",
        "declaration.decorator": "annotation marker_annotation",
        "declaration.modifier": "modifiers requires_modifier",
        "declaration.other": "static_initializer exports_module_directive opens_module_directive "
        "uses_module_directive provides_module_directive",
        "statement.block": "block class_body interface_body enum_body annotation_type_body constructor_body "
        "module_body switch_block",
        "statement.expression": "expression_statement",
        "statement.assignment": "assignment_expression",
        "statement.loop": "for_statement enhanced_for_statement while_statement do_statement",
        "statement.conditional": "if_statement",
        "statement.match": "switch_expression",
        "statement.case": "switch_block_statement_group switch_rule",
        "statement.exception": "try_statement try_with_resources_statement throw_statement",
        "statement.handler": "catch_clause finally_clause",
        "statement.return": "return_statement",
        "statement.jump": "break_statement continue_statement",
        "statement.context": "synchronized_statement",
        "statement.other": "assert_statement labeled_statement",
        "expression.call": "method_invocation object_creation_expression array_creation_expression "
        "explicit_constructor_invocation",
        "expression.arguments": "argument_list annotation_argument_list",
        "expression.argument": "element_value_pair",
        "expression.literal": "decimal_integer_literal hex_integer_literal octal_integer_literal "
        "binary_integer_literal decimal_floating_point_literal hex_floating_point_literal character_literal "
        "string_literal true false null_literal",
        "expression.interpolation": "string_interpolation",
        "expression.collection": "array_initializer element_value_array_initializer",
        "expression.identifier": "identifier scoped_identifier this super",
        "expression.binary": "binary_expression instanceof_expression",
        "expression.unary": "unary_expression update_expression",
        "expression.member": "field_access method_reference",
        "expression.index": "array_access",
        "expression.lambda": "lambda_expression",
        "expression.conditional": "ternary_expression",
        "expression.cast": "cast_expression",
        "expression.yield": "yield_statement",
        "expression.other": "parenthesized_expression class_literal template_expression",
        "type.reference": "type_identifier scoped_type_identifier generic_type array_type annotated_type integral_type "
        "floating_point_type boolean_type void_type wildcard catch_type",
        "type.arguments": "type_arguments",
        "type.clause": "superclass super_interfaces extends_interfaces permits throws type_bound",
        "pattern": "pattern type_pattern record_pattern record_pattern_component underscore_pattern",
        "none": "asterisk dimensions dimensions_expr enum_body_declarations escape_sequence guard "
        "multiline_string_fragment record_pattern_body resource resource_specification string_fragment switch_label "
        "type_list",
    },
    cases=(
        Case(kinds="identifier", parent="inferred_parameters", concept="declaration.parameter"),
        Case(kinds="identifier", parent="lambda_expression", field="parameters", concept="declaration.parameter"),
        Case(kinds="type_identifier", parent="type_parameter", concept="expression.identifier"),
        Case(kinds="resource", child="=", concept="declaration.declarator"),
        Case(kinds="block", parent="class_body enum_body_declarations", concept="declaration.other"),
    ),
    units=(
        Unit(kinds="method_declaration", unit="method", returns="type"),
        Unit(kinds="annotation_type_element_declaration", unit="method", parameters="", returns="type", body=""),
        Unit(kinds="constructor_declaration compact_constructor_declaration", unit="constructor", returns=""),
        Unit(kinds="class_declaration record_declaration", unit="class", parameters="", returns=""),
        Unit(kinds="interface_declaration annotation_type_declaration", unit="interface", parameters="", returns=""),
        Unit(kinds="enum_declaration", unit="enum", parameters="", returns=""),
        Unit(
            kinds="package_declaration",
            unit="module",
            name=":scoped_identifier|:identifier",
            parameters="",
            returns="",
            body="",
        ),
        Unit(kinds="module_declaration", unit="module", parameters="", returns=""),
        Unit(
            kinds="lambda_expression",
            unit="lambda",
            name="^variable_declarator/name|^assignment_expression/left/field|^assignment_expression/:identifier",
            returns="",
        ),
    ),
    imports=(
        Import(kinds="import_declaration", read=_import),
        Import(kinds="requires_module_directive", read=_requires),
    ),
    asynchronous="",
    tests=Tests(
        name=r"^test[A-Z_]",  # JUnit 3
        header=r"@(?:[\w.]+\.)?(?:Test|ParameterizedTest|RepeatedTest|TestFactory|TestTemplate|Theory|Property)\b",
    ),
)

GRAMMARS = (JAVA,)
