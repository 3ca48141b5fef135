"""TypeScript, and TSX, which is TypeScript with JSX and without `<T>x`."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Unit, merged
from stages.parse.languages.javascript import (
    CASES,
    CONCEPTS,
    IMPORTS,
    JSX_CASES,
    JSX_CONCEPTS,
    KEY_NAME,
    TESTS,
    VALUE_NAME,
)
from stages.parse.tree import Tree


def _import_alias(tree: Tree, node: int) -> Iterator[Imported]:
    """`import a = b.c`."""
    parts = list(tree.of_type(node, "identifier", "nested_identifier"))
    if len(parts) == 2:
        yield node, tree.text(parts[1]), []


def _return_type(tree: Tree, node: int) -> int | None:
    """The type without its colon."""
    annotation = tree.child(node, "return_type")
    return None if annotation is None else next(tree.named(annotation), None)


_CONCEPTS = {
    "declaration.function": "function_signature method_signature abstract_method_signature",
    "declaration.class": "abstract_class_declaration interface_declaration",
    "declaration.enum": "enum_declaration",
    "declaration.enum_member": "enum_assignment",
    "declaration.module": "module internal_module",
    "declaration.import": "import_alias",
    "declaration.variable": "public_field_definition property_signature",
    "declaration.type": "type_alias_declaration",
    "declaration.parameter": "required_parameter optional_parameter",
    "declaration.type_parameters": "type_parameters",
    "declaration.type_parameter": "type_parameter",
    "declaration.modifier": "accessibility_modifier override_modifier",
    "declaration.other": "ambient_declaration index_signature call_signature construct_signature",
    "statement.block": "interface_body enum_body",
    "expression.literal": "template_literal_type",
    "expression.interpolation": "template_type",
    "expression.identifier": "nested_identifier",
    "expression.unary": "non_null_expression",
    "expression.cast": "as_expression satisfies_expression",
    "expression.other": "instantiation_expression",
    "type.reference": "type_identifier nested_type_identifier predefined_type generic_type array_type tuple_type "
    "object_type function_type constructor_type union_type intersection_type conditional_type infer_type literal_type "
    "lookup_type parenthesized_type readonly_type rest_type optional_type this_type type_query index_type_query "
    "type_predicate asserts existential_type flow_maybe_type",
    "type.arguments": "type_arguments",
    "type.clause": "type_annotation asserts_annotation type_predicate_annotation adding_type_annotation "
    "omitting_type_annotation opting_type_annotation constraint default_type extends_clause extends_type_clause "
    "implements_clause mapped_type_clause",
    "none": "class_heritage import_require_clause",
}
_CASES = (
    Case(
        kinds="property_identifier private_property_identifier string number computed_property_name",
        parent="enum_body",
        concept="declaration.enum_member",
    ),
    Case(kinds="required_parameter optional_parameter", parent="tuple_type", concept="type.reference"),
    Case(kinds="index_signature", child="mapped_type_clause", concept="type.reference"),
    Case(
        kinds="type_identifier",
        parent="class_declaration abstract_class_declaration class interface_declaration type_alias_declaration "
        "type_parameter mapped_type_clause",
        field="name",
        concept="expression.identifier",
    ),
    # the grammar reads `x as a.b.C` as `(x as a.b).C`
    Case(kinds="member_expression", child="as_expression satisfies_expression", concept="none"),
    Case(kinds="member_expression", parent="nested_identifier", concept="expression.identifier"),
    Case(kinds="member_expression", parent="type_query", concept="type.reference"),
    Case(
        kinds="member_expression",
        parent="member_expression",
        parent_concept="expression.identifier",
        concept="expression.identifier",
    ),
    Case(
        kinds="member_expression", parent="member_expression", parent_concept="type.reference", concept="type.reference"
    ),
)
_UNITS = (
    Unit(
        kinds="function_declaration generator_function_declaration function_signature",
        unit="function",
        returns=_return_type,
    ),
    Unit(
        kinds="method_definition method_signature abstract_method_signature",
        unit="method",
        name=KEY_NAME,
        returns=_return_type,
    ),
    Unit(
        kinds="arrow_function function_expression generator_function",
        unit="lambda",
        name=f"{VALUE_NAME}|^public_field_definition/name/:string_fragment|^public_field_definition/name",
        parameters="parameters|parameter",
        returns=_return_type,
    ),
    Unit(
        kinds="class_declaration abstract_class_declaration class",
        unit="class",
        name=VALUE_NAME,
        parameters="",
        returns="",
    ),
    Unit(kinds="interface_declaration", unit="interface", parameters="", returns=""),
    Unit(kinds="enum_declaration", unit="enum", parameters="", returns=""),
    Unit(kinds="module internal_module", unit="module", name=KEY_NAME, parameters="", returns=""),
)

TYPESCRIPT = Grammar(
    name="typescript",
    languages=("TypeScript",),
    distribution="tree-sitter-typescript",
    module="tree_sitter_typescript",
    entry="language_typescript",
    concepts=merged(CONCEPTS, _CONCEPTS, {"expression.cast": "type_assertion"}),
    cases=CASES + _CASES,
    units=_UNITS,
    imports=(
        *IMPORTS,
        Import(kinds="import_alias", read=_import_alias),
    ),
    constructors=frozenset({"constructor"}),
    wrappers="export_statement ambient_declaration expression_statement",
    leading="decorator",
    tests=TESTS,
)
TSX = Grammar(
    name="tsx",
    languages=("TSX",),
    distribution="tree-sitter-typescript",
    module="tree_sitter_typescript",
    entry="language_tsx",
    concepts=merged(CONCEPTS, _CONCEPTS, JSX_CONCEPTS),
    cases=CASES + _CASES + JSX_CASES,
    units=TYPESCRIPT.units,
    imports=TYPESCRIPT.imports,
    constructors=TYPESCRIPT.constructors,
    wrappers=TYPESCRIPT.wrappers,
    leading=TYPESCRIPT.leading,
    tests=TESTS,
)

GRAMMARS = (TYPESCRIPT, TSX)
