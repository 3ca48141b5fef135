"""Python."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`import a.b as c, d`."""
    modules = list(tree.in_field(node, "name"))
    for module in modules:
        path = tree.child(module, "name") if tree.type(module) == "aliased_import" else module
        yield (node if len(modules) == 1 else module), tree.text(module if path is None else path), []


def _import_from(tree: Tree, node: int) -> Iterator[Imported]:
    """`from .a import b as c`, `from a import *`."""
    names = []
    for item in tree.in_field(node, "name"):
        path = tree.child(item, "name") if tree.type(item) == "aliased_import" else item
        names.append(tree.text(item if path is None else path))
    if tree.first(node, "wildcard_import") is not None:
        names = ["*"]
    module = tree.child(node, "module_name")
    yield node, "__future__" if module is None else "".join(tree.text(module).split()), names


def _docstring(tree: Tree, body: int) -> int | None:
    for statement in tree.named(body):
        if tree.type(statement) == "comment":
            continue
        return tree.first(statement, "string") if tree.type(statement) == "expression_statement" else None
    return None


PYTHON = Grammar(
    name="python",
    languages=("Python",),
    distribution="tree-sitter-python",
    module="tree_sitter_python",
    concepts={
        "source": "module",
        "comment": "comment",
        "declaration.function": "function_definition",
        "declaration.class": "class_definition",
        "declaration.import": "import_statement import_from_statement future_import_statement",
        "declaration.type": "type_alias_statement",
        "declaration.parameters": "parameters lambda_parameters",
        "declaration.parameter": "default_parameter typed_parameter typed_default_parameter",
        "declaration.type_parameters": "type_parameter",
        "declaration.decorator": "decorator",
        "statement.block": "block",
        "statement.expression": "expression_statement",
        "statement.assignment": "assignment augmented_assignment named_expression",
        "statement.loop": "for_statement while_statement",
        "statement.conditional": "if_statement elif_clause",
        "statement.branch": "else_clause",
        "statement.match": "match_statement",
        "statement.case": "case_clause",
        "statement.exception": "try_statement raise_statement",
        "statement.handler": "except_clause finally_clause",
        "statement.return": "return_statement",
        "statement.jump": "break_statement continue_statement",
        "statement.context": "with_statement",
        "statement.other": "assert_statement delete_statement exec_statement global_statement nonlocal_statement "
        "pass_statement print_statement",
        "expression.call": "call",
        "expression.arguments": "argument_list",
        "expression.argument": "keyword_argument",
        "expression.literal": "integer float string true false none",
        "expression.interpolation": "interpolation",
        "expression.collection": "list tuple dictionary set",
        "expression.comprehension": "list_comprehension dictionary_comprehension set_comprehension "
        "generator_expression",
        "expression.identifier": "identifier dotted_name",
        "expression.binary": "binary_operator boolean_operator comparison_operator",
        "expression.unary": "unary_operator not_operator",
        "expression.member": "attribute",
        "expression.index": "subscript",
        "expression.lambda": "lambda",
        "expression.conditional": "conditional_expression",
        "expression.async": "await",
        "expression.yield": "yield",
        "expression.other": "parenthesized_expression parenthesized_list_splat expression_list list_splat "
        "dictionary_splat ellipsis slice concatenated_string",
        "type.reference": "type generic_type union_type member_type constrained_type splat_type",
        "pattern": "case_pattern class_pattern complex_pattern dict_pattern keyword_pattern list_pattern "
        "list_splat_pattern dictionary_splat_pattern splat_pattern tuple_pattern union_pattern pattern_list as_pattern "
        "as_pattern_target",
        "data.pair": "pair",
        "none": "decorated_definition aliased_import wildcard_import import_prefix relative_import for_in_clause "
        "if_clause with_clause with_item chevron string_start string_content string_end escape_sequence "
        "escape_interpolation format_specifier format_expression type_conversion "
        "line_continuation keyword_separator positional_separator",
    },
    cases=(
        Case(kinds="argument_list", parent="class_definition", concept="type.clause"),
        Case(
            kinds="identifier list_splat_pattern dictionary_splat_pattern tuple_pattern",
            parent="parameters lambda_parameters",
            concept="declaration.parameter",
        ),
        Case(kinds="type_parameter", parent="generic_type", concept="type.arguments"),
        Case(kinds="type", parent_concept="declaration.type_parameters", concept="declaration.type_parameter"),
        # inside an annotation names and what is written with operators are types all the way down
        Case(
            kinds="identifier binary_operator attribute subscript list tuple",
            parent_concept="type.reference",
            concept="type.reference",
        ),
    ),
    units=(
        Unit(kinds="function_definition", unit="function"),
        Unit(kinds="class_definition", unit="class", parameters="", returns=""),
        Unit(kinds="lambda", unit="lambda", name="^assignment/left", returns=""),
    ),
    imports=(
        Import(kinds="import_statement", read=_import),
        Import(kinds="import_from_statement future_import_statement", read=_import_from),
    ),
    constructors=frozenset({"__init__"}),
    wrappers="decorated_definition",
    docstring=_docstring,
    tests=Tests(name=r"^test_|^Test[A-Z_]|^test$"),
)

GRAMMARS = (PYTHON,)
