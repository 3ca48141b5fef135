"""PHP."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _clause_path(tree: Tree, clause: int) -> str:
    """The path of one item of `use`, without its alias."""
    path = tree.first(clause, "qualified_name", "name")
    return "".join(tree.text(clause if path is None else path).split())


def _use(tree: Tree, node: int) -> Iterator[Imported]:
    r"""`use A\B, \C\D as E;`, `use A\{B, C\D as E};`, `use function A\b;`."""
    group = tree.child(node, "body")
    if group is not None:
        module = tree.first(node, "namespace_name")
        names = [_clause_path(tree, clause) for clause in tree.of_type(group, "namespace_use_clause")]
        yield node, "" if module is None else "".join(tree.text(module).split()), names
        return
    clauses = list(tree.of_type(node, "namespace_use_clause"))
    for clause in clauses:
        path = _clause_path(tree, clause)
        module_path, _, name = path.rpartition("\\")
        place = node if len(clauses) == 1 else clause
        yield place, module_path or path, [name] if module_path else []


def _literal(tree: Tree, node: int) -> str | None:
    """The content of a string without interpolation; None for everything else."""
    if tree.type(node) not in ("string", "encapsed_string"):
        return None
    parts = list(tree.named(node))
    if any(tree.type(part) not in ("string_content", "escape_sequence") for part in parts):
        return None
    return "".join(tree.text(part) for part in parts)


def _include(tree: Tree, node: int) -> Iterator[Imported]:
    """`require_once 'a.php'`, `include("a.php")`."""
    path = next(tree.named(node), None)
    while path is not None and tree.type(path) == "parenthesized_expression":
        path = next(tree.named(path), None)
    if path is not None and (text := _literal(tree, path)) is not None:
        yield node, text, []


def _lambda_name(tree: Tree, node: int) -> int | None:
    """What a function is directly the value of: `$f = fn`, `$this->f = fn`, `A::$f = fn`, `'f' => fn`."""
    parent = node - tree.to_parent[node]
    if tree.type(parent) == "array_element_initializer":
        key = next(tree.named(parent), node)
        is_key = key != node and _literal(tree, key) is not None
        return tree.first(key, "string_content") if is_key else None
    if tree.type(parent) != "assignment_expression":
        return None
    target = tree.child(parent, "left")
    while target is not None and tree.type(target) != "name":
        inner = tree.child(target, "name")
        target = tree.first(target, "name") if inner is None and tree.type(target) == "variable_name" else inner
    return target


PHP = Grammar(
    name="php",
    languages=("PHP",),
    distribution="tree-sitter-php",
    module="tree_sitter_php",
    entry="language_php",
    concepts={
        "source": "program",
        "comment": "comment",
        "declaration.function": "function_definition method_declaration",
        "declaration.class": "class_declaration interface_declaration trait_declaration anonymous_class",
        "declaration.enum": "enum_declaration",
        "declaration.enum_member": "enum_case",
        "declaration.module": "namespace_definition",
        "declaration.import": "namespace_use_declaration include_expression include_once_expression "
        "require_expression require_once_expression",
        "declaration.variable": "property_declaration const_declaration global_declaration function_static_declaration",
        "declaration.declarator": "property_element const_element static_variable_declaration",
        "declaration.parameters": "formal_parameters",
        "declaration.parameter": "simple_parameter variadic_parameter property_promotion_parameter",
        "declaration.decorator": "attribute",
        "declaration.modifier": "abstract_modifier final_modifier readonly_modifier reference_modifier static_modifier "
        "var_modifier visibility_modifier",
        "declaration.other": "use_declaration property_hook",
        "statement.block": "compound_statement colon_block declaration_list enum_declaration_list match_block "
        "property_hook_list switch_block",
        "statement.expression": "expression_statement",
        "statement.assignment": "assignment_expression augmented_assignment_expression reference_assignment_expression",
        "statement.loop": "for_statement foreach_statement while_statement do_statement",
        "statement.conditional": "if_statement else_if_clause",
        "statement.branch": "else_clause",
        "statement.match": "switch_statement match_expression",
        "statement.case": "case_statement default_statement match_conditional_expression match_default_expression",
        "statement.exception": "try_statement throw_expression",
        "statement.handler": "catch_clause finally_clause",
        "statement.return": "return_statement",
        "statement.jump": "break_statement continue_statement goto_statement",
        "statement.other": "echo_statement empty_statement exit_statement named_label_statement unset_statement",
        "expression.call": "function_call_expression member_call_expression nullsafe_member_call_expression "
        "scoped_call_expression object_creation_expression",
        "expression.arguments": "arguments",
        "expression.argument": "argument",
        "expression.literal": "integer float boolean null string encapsed_string heredoc nowdoc",
        "expression.collection": "array_creation_expression",
        "expression.identifier": "name variable_name dynamic_variable_name qualified_name relative_name relative_scope "
        "namespace_name",
        "expression.binary": "binary_expression",
        "expression.unary": "unary_op_expression update_expression error_suppression_expression clone_expression "
        "by_ref",
        "expression.member": "member_access_expression nullsafe_member_access_expression "
        "scoped_property_access_expression class_constant_access_expression",
        "expression.index": "subscript_expression",
        "expression.lambda": "anonymous_function arrow_function",
        "expression.conditional": "conditional_expression",
        "expression.cast": "cast_expression",
        "expression.yield": "yield_expression",
        "expression.other": "parenthesized_expression print_intrinsic sequence_expression shell_command_expression "
        "variadic_unpacking",
        "type.reference": "named_type primitive_type optional_type union_type intersection_type "
        "disjunctive_normal_form_type bottom_type cast_type",
        "type.clause": "base_clause class_interface_clause",
        "pattern": "list_literal",
        "macro.directive": "declare_statement",
        "markup.text": "text",
        "data.pair": "pair",
        "none": "anonymous_function_use_clause argument_placeholder array_element_initializer attribute_group "
        "attribute_list declare_directive escape_sequence heredoc_body heredoc_end heredoc_start match_condition_list "
        "namespace_use_clause namespace_use_group nowdoc_body nowdoc_string operation php_end_tag php_tag "
        "sentinel_error string_content text_interpolation type_list use_as_clause use_instead_of_clause use_list "
        "variadic_placeholder",
    },
    cases=(
        # `$x` is one name, not two
        Case(kinds="name", parent="variable_name", concept="none"),
        Case(
            kinds="variable_name dynamic_variable_name",
            parent="encapsed_string heredoc_body shell_command_expression",
            concept="expression.interpolation",
        ),
        Case(
            kinds="name qualified_name relative_name",
            parent="base_clause class_interface_clause object_creation_expression use_declaration",
            concept="type.reference",
        ),
        Case(kinds="array_element_initializer", child="=>", concept="data.pair"),
    ),
    units=(
        Unit(kinds="function_definition", unit="function"),
        Unit(kinds="method_declaration", unit="method"),
        Unit(kinds="class_declaration", unit="class", parameters="", returns=""),
        Unit(kinds="interface_declaration", unit="interface", parameters="", returns=""),
        Unit(kinds="trait_declaration", unit="trait", parameters="", returns=""),
        Unit(kinds="enum_declaration", unit="enum", parameters="", returns=""),
        Unit(kinds="namespace_definition", unit="module", parameters="", returns=""),
        Unit(kinds="anonymous_function arrow_function", unit="lambda", name=_lambda_name),
    ),
    imports=(
        Import(kinds="namespace_use_declaration", read=_use),
        Import(
            kinds="include_expression include_once_expression require_expression require_once_expression", read=_include
        ),
    ),
    constructors=frozenset({"__construct"}),
    tests=Tests(
        name=r"^test(?:[A-Z_\d]|$)|^[A-Z]\w*Test$",
        header=r"#\[\s*(?:\\?\w+\\)*Test\b",
        callee=r"(?:it|test)\s*\(",
    ),
)

GRAMMARS = (PHP,)
"""PHP's table."""
