"""Scala, versions 2 and 3."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`import a.b.{C, D => E}, f.g._`: one per path."""
    paths: list[list[int]] = [[]]
    for part in tree.children(node):
        if tree.type(part) == ",":
            paths.append([])
        elif tree.type(part) not in ("import", "."):
            paths[-1].append(part)
    for parts in paths:
        if not parts:
            continue
        path, last = parts[:-1], parts[-1]
        yield (node if len(paths) == 1 else parts[0]), ".".join(tree.text(part) for part in path), _selected(tree, last)


def _selected(tree: Tree, node: int) -> list[str]:
    """What the last part of an import names, before its renaming; `F => _` hides a name."""
    kind = tree.type(node)
    if kind == "namespace_selectors":
        return [name for selector in tree.named(node) for name in _selected(tree, selector)]
    if kind == "namespace_wildcard":
        return ["given" if tree.text(node) == "given" else "*"]
    if kind in ("arrow_renamed_identifier", "as_renamed_identifier"):
        name, alias = tree.child(node, "name"), tree.child(node, "alias")
        is_hidden = alias is not None and tree.type(alias) == "wildcard"
        return [] if name is None or is_hidden else [tree.text(name)]
    return [tree.text(node)]


def _lambda_name(tree: Tree, node: int) -> int | None:
    """The value, variable or field that a lambda is assigned to, with braces around it or without."""
    holder = node - tree.to_parent[node]
    if tree.type(holder) == "block" and len(list(tree.named(holder))) == 1:
        holder -= tree.to_parent[holder]
    kind = tree.type(holder)
    if kind in ("val_definition", "var_definition"):
        name = tree.child(holder, "pattern")
    elif kind == "assignment_expression" and tree.type(holder - tree.to_parent[holder]) != "arguments":
        name = tree.child(holder, "left")
    else:
        return None
    if name is not None and tree.type(name) == "field_expression":
        name = tree.child(name, "field")
    return name if name is not None and tree.type(name) == "identifier" else None


def _lambda_body(tree: Tree, node: int) -> int | None:
    """What comes last: it has no field of its own."""
    parts = list(tree.named(node))
    return parts[-1] if parts else None


def _has_members(tree: Tree, node: int) -> bool:
    return tree.first(node, "template_body", "with_template_body") is not None


SCALA = Grammar(
    name="scala",
    languages=("Scala",),
    distribution="tree-sitter-scala",
    module="tree_sitter_scala",
    concepts={
        "source": "compilation_unit",
        "comment": "comment block_comment xml_comment",
        "declaration.function": "function_definition function_declaration",
        "declaration.class": "class_definition object_definition trait_definition package_object extension_definition",
        "declaration.enum": "enum_definition",
        "declaration.enum_member": "simple_enum_case full_enum_case",
        "declaration.module": "package_clause",
        "declaration.import": "import_declaration",
        "declaration.variable": "val_definition var_definition val_declaration var_declaration given_definition",
        "declaration.type": "type_definition",
        "declaration.parameters": "parameters class_parameters bindings",
        "declaration.parameter": "parameter class_parameter binding",
        "declaration.type_parameters": "type_parameters",
        "declaration.type_parameter": "covariant_type_parameter contravariant_type_parameter",
        "declaration.decorator": "annotation",
        "declaration.modifier": "modifiers access_modifier consume_modifier erased_modifier infix_modifier "
        "inline_modifier into_modifier opaque_modifier open_modifier tracked_modifier transparent_modifier "
        "update_modifier",
        "declaration.other": "export_declaration",
        "statement.block": "template_body with_template_body enum_body block indented_block case_block indented_cases",
        "statement.assignment": "assignment_expression",
        "statement.loop": "for_expression while_expression do_while_expression",
        "statement.conditional": "if_expression",
        "statement.match": "match_expression",
        "statement.case": "case_clause",
        "statement.exception": "try_expression throw_expression",
        "statement.handler": "catch_clause finally_clause",
        "statement.return": "return_expression",
        "expression.call": "call_expression instance_expression",
        "expression.arguments": "arguments colon_argument",
        "expression.literal": "integer_literal floating_point_literal boolean_literal character_literal null_literal "
        "string interpolated_string_expression xml_string",
        "expression.interpolation": "interpolation xml_expression",
        "expression.collection": "tuple_expression",
        "expression.identifier": "identifier operator_identifier package_identifier wildcard",
        "expression.binary": "infix_expression",
        "expression.unary": "prefix_expression postfix_expression",
        "expression.member": "field_expression",
        "expression.lambda": "lambda_expression",
        "expression.other": "parenthesized_expression ascription_expression generic_function method_value "
        "quote_expression splice_expression macro_body unit vararg",
        "type.reference": "type_identifier stable_identifier stable_type_identifier generic_type annotated_type "
        "applied_constructor_type capturing_type compound_type existential_type function_type infix_type "
        "lazy_parameter_type literal_type match_type name_and_type named_tuple_type parameter_types "
        "projected_type refinement repeated_parameter_type singleton_type structural_type tuple_type "
        "type_case_clause type_lambda",
        "type.arguments": "type_arguments named_type_argument",
        "type.clause": "extends_clause derives_clause early_defs self_type lower_bound upper_bound view_bound "
        "context_bound uses_clause capture_ref capture_set capture_variable",
        "pattern": "alternative_pattern capture_pattern case_class_pattern given_pattern identifiers infix_pattern "
        "named_pattern named_tuple_pattern repeat_pattern tuple_pattern typed_pattern xml_pattern",
        "macro.directive": "using_directive",
        "markup.element": "xml_element xml_processing_instruction",
        "markup.attribute": "xml_attribute",
        "markup.text": "xml_text xml_cdata",
        "none": "access_qualifier arrow_renamed_identifier as_renamed_identifier end_marker enum_case_definitions "
        "enumerator enumerators error_sentinel escape_sequence given_conditional guard interpolated_string "
        "namespace_selectors namespace_wildcard using_directive_key using_directive_value xml_name",
    },
    cases=(
        Case(kinds="identifier", parent="type_parameters", field="name", concept="declaration.type_parameter"),
        Case(
            kinds="identifier wildcard", parent="lambda_expression", field="parameters", concept="declaration.parameter"
        ),
        Case(kinds="type_identifier", parent="type_definition", field="name", concept="expression.identifier"),
        Case(kinds="assignment_expression", parent="arguments", concept="expression.argument"),
        Case(
            kinds="infix_expression",
            words_of="operator",
            words="+= -= *= /= %= &= |= ^= ++= --= <<= >>= >>>= ::= :::= +:= :+= ++:= &&= ||= **=",
            concept="statement.assignment",
        ),
        Case(kinds="given_definition", child="template_body with_template_body", concept="declaration.class"),
        Case(kinds="quote_expression", child="identifier", concept="expression.literal"),
        Case(
            kinds="stable_identifier",
            parent="case_clause alternative_pattern capture_pattern case_class_pattern infix_pattern tuple_pattern",
            concept="expression.member",
        ),
        Case(
            kinds="stable_identifier",
            parent="stable_identifier",
            parent_concept="expression.member",
            concept="expression.member",
        ),
    ),
    units=(
        Unit(kinds="function_definition function_declaration", unit="function", parameters=":parameters"),
        Unit(
            kinds="lambda_expression",
            unit="lambda",
            name=_lambda_name,
            parameters=":bindings identifier wildcard",
            returns="",
            body=_lambda_body,
        ),
        Unit(
            kinds="class_definition object_definition package_object",
            unit="class",
            parameters="",
            returns="",
        ),
        Unit(kinds="given_definition", unit="class", parameters="", returns="", when=_has_members),
        Unit(kinds="trait_definition", unit="trait", parameters="", returns=""),
        Unit(kinds="enum_definition", unit="enum", parameters="", returns=""),
        Unit(kinds="package_clause", unit="module", parameters="", returns=""),
        # Their functions are methods, but they have no name of their own.
        Unit(kinds="extension_definition", unit="scope", name="", parameters="", returns=""),
        Unit(kinds="instance_expression", unit="scope", name="", parameters="", returns="", body="", when=_has_members),
    ),
    imports=(Import(kinds="import_declaration", read=_import),),
    constructors=frozenset({"this"}),
    tests=Tests(name=r"(?:Spec|Test|Suite)$", header=r"@(?:\w+\.)*Test\b"),
)

GRAMMARS = (SCALA,)
