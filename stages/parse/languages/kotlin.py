"""Kotlin."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree

_TYPES = ("user_type", "nullable_type", "non_nullable_type", "parenthesized_type", "function_type")


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`import a.b.C`, `import a.b.C as D`, `import a.b.*`."""
    path = tree.first(node, "qualified_identifier", "identifier")
    if path is None:
        return
    text = "".join(tree.text(path).split())
    if tree.first(node, "*") is not None:
        yield node, text, ["*"]
        return
    module, _, name = text.rpartition(".")
    yield node, module or text, [name] if module else []


def _receiver(tree: Tree, node: int) -> int | None:
    """The type that a function extends, without its arguments: `List` in `fun <T> List<T>.f()`."""
    receiver = None
    for child in tree.named(node):
        if tree.type(child) == "identifier":
            break
        if tree.type(child) in _TYPES:
            receiver = child
    while receiver is not None and tree.type(receiver) != "user_type":
        receiver = tree.first(receiver, *_TYPES) if tree.type(receiver) != "function_type" else None
    if receiver is None or tree.first(receiver, "type_arguments") is None:
        return receiver
    return list(tree.of_type(receiver, "identifier"))[-1]


def _returns(tree: Tree, node: int) -> int | None:
    """The type after the parameters."""
    parameters = tree.first(node, "function_value_parameters")
    return next((child for child in tree.of_type(node, *_TYPES) if parameters is not None and child > parameters), None)


def _body(tree: Tree, node: int) -> int | None:
    """The block, or the expression after `=`."""
    body = tree.first(node, "function_body")
    return None if body is None else next(tree.named(body), body)


def _lambda_name(tree: Tree, node: int) -> int | None:
    """The property, variable or member that a function is directly the value of."""
    parent = node - tree.to_parent[node]
    kind = tree.type(parent)
    if kind == "class_parameter":
        return tree.first(parent, "identifier")
    if kind == "property_declaration":
        variable = tree.first(parent, "variable_declaration")
        return None if variable is None else tree.first(variable, "identifier")
    if kind != "assignment":
        return None
    target = tree.child(parent, "left")
    if target is not None and tree.type(target) == "navigation_expression":
        target = list(tree.named(target))[-1]
    return target if target is not None and tree.type(target) == "identifier" else None


def _is_interface(tree: Tree, node: int) -> bool:
    return tree.first(node, "interface") is not None


def _is_enum(tree: Tree, node: int) -> bool:
    if tree.first(node, "enum_class_body") is not None:
        return True
    modifiers = tree.first(node, "modifiers")
    return modifiers is not None and any(
        tree.bytes(word) == b"enum" for word in tree.of_type(modifiers, "class_modifier")
    )


KOTLIN = Grammar(
    name="kotlin",
    languages=("Kotlin",),
    distribution="tree-sitter-kotlin",
    module="tree_sitter_kotlin",
    concepts={
        "source": "source_file",
        "comment": "line_comment block_comment shebang",
        "declaration.function": "function_declaration secondary_constructor",
        "declaration.class": "class_declaration object_declaration companion_object object_literal",
        "declaration.enum_member": "enum_entry",
        "declaration.module": "package_header",
        "declaration.import": "import",
        "declaration.variable": "property_declaration",
        "declaration.declarator": "variable_declaration",
        "declaration.type": "type_alias",
        "declaration.parameters": "function_value_parameters class_parameters lambda_parameters "
        "function_type_parameters",
        "declaration.parameter": "parameter class_parameter",
        "declaration.type_parameters": "type_parameters",
        "declaration.type_parameter": "type_parameter",
        "declaration.decorator": "annotation file_annotation",
        "declaration.modifier": "class_modifier function_modifier inheritance_modifier member_modifier "
        "parameter_modifier platform_modifier property_modifier reification_modifier variance_modifier "
        "visibility_modifier",
        "declaration.other": "getter setter anonymous_initializer",
        "statement.block": "block class_body enum_class_body",
        "statement.assignment": "assignment",
        "statement.loop": "for_statement while_statement do_while_statement",
        "statement.conditional": "if_expression",
        "statement.match": "when_expression",
        "statement.case": "when_entry",
        "statement.exception": "try_expression throw_expression",
        "statement.handler": "catch_block finally_block",
        "statement.return": "return_expression",
        "expression.call": "call_expression constructor_invocation constructor_delegation_call",
        # a lambda after the parentheses of a call is one of its arguments
        "expression.arguments": "value_arguments annotated_lambda",
        "expression.argument": "value_argument",
        "expression.literal": "string_literal multiline_string_literal character_literal number_literal float_literal",
        "expression.interpolation": "interpolation",
        "expression.collection": "collection_literal",
        "expression.identifier": "identifier qualified_identifier this_expression super_expression",
        "expression.binary": "binary_expression infix_expression in_expression is_expression range_expression",
        "expression.unary": "unary_expression",
        "expression.member": "navigation_expression callable_reference",
        "expression.index": "index_expression",
        "expression.lambda": "lambda_literal anonymous_function",
        "expression.cast": "as_expression",
        "expression.other": "parenthesized_expression annotated_expression labeled_expression spread_expression",
        "type.reference": "user_type nullable_type non_nullable_type parenthesized_type function_type",
        "type.arguments": "type_arguments",
        "type.clause": "delegation_specifiers type_constraints",
        "pattern": "multi_variable_declaration type_test range_test",
        "none": "delegation_specifier escape_sequence explicit_delegation function_body label modifiers "
        "parameter_modifiers primary_constructor property_delegate string_content type_constraint type_modifiers "
        "type_parameter_modifiers type_projection use_site_target when_subject",
    },
    cases=(
        Case(kinds="class_declaration", child="enum_class_body", concept="declaration.enum"),
        Case(
            kinds="variable_declaration multi_variable_declaration",
            parent="lambda_parameters",
            concept="declaration.parameter",
        ),
        Case(kinds="identifier", parent="setter", concept="declaration.parameter"),
        # the grammar has no kinds of their own for these
        Case(kinds="identifier", words="true false null", concept="expression.literal"),
        Case(kinds="identifier", words="break continue", concept="statement.jump"),
        Case(kinds="constructor_invocation", parent="annotation file_annotation", concept="none"),
        # `f(x) { }` is a call of `f(x)` in the tree, but one call
        Case(kinds="call_expression", parent="call_expression", concept="none"),
    ),
    units=(
        Unit(
            kinds="function_declaration",
            unit="function",
            owner=_receiver,
            parameters=":function_value_parameters",
            returns=_returns,
            body=_body,
        ),
        Unit(
            kinds="secondary_constructor",
            unit="constructor",
            name=":constructor",
            parameters=":function_value_parameters",
            returns="",
            body=":block",
        ),
        Unit(
            kinds="class_declaration",
            unit="interface",
            parameters="",
            returns="",
            body=":class_body",
            when=_is_interface,
        ),
        Unit(kinds="class_declaration", unit="enum", parameters="", returns="", body=":enum_class_body", when=_is_enum),
        Unit(
            kinds="class_declaration object_declaration companion_object",
            unit="class",
            parameters="",
            returns="",
            body=":class_body",
        ),
        # an anonymous class: no unit, but it has methods
        Unit(kinds="object_literal", unit="scope", name="", parameters="", returns="", body=""),
        Unit(
            kinds="package_header",
            unit="module",
            name=":qualified_identifier|:identifier",
            parameters="",
            returns="",
            body="",
        ),
        Unit(
            kinds="lambda_literal",
            unit="lambda",
            name=_lambda_name,
            parameters=":lambda_parameters",
            returns="",
            body="",
        ),
        Unit(
            kinds="anonymous_function",
            unit="lambda",
            name=_lambda_name,
            parameters=":function_value_parameters",
            returns=_returns,
            body=_body,
        ),
    ),
    imports=(Import(kinds="import", read=_import),),
    asynchronous="suspend",
    tests=Tests(
        header=r"@(?:\w+\.)*(?:Test|ParameterizedTest|RepeatedTest|TestFactory)\b",
        callee=r"(?:test|it|should|expect|scenario)\s*\(\s*\"",
    ),
)

GRAMMARS = (KOTLIN,)
"""Kotlin's table."""
