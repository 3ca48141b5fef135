"""Ruby."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree

_IMPORTING = "require require_relative load autoload"


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`require 'm'`, `autoload :M, 'm'`: calls without receiver, with a string that says all."""
    method, arguments = tree.child(node, "method"), tree.child(node, "arguments")
    if tree.child(node, "receiver") is not None or method is None or arguments is None:
        return
    given = list(tree.named(arguments))
    place = 1 if tree.bytes(method) == b"autoload" else 0
    if place < len(given) and (module := _literal(tree, given[place])) is not None:
        yield node, module, []


def _literal(tree: Tree, node: int) -> str | None:
    if tree.type(node) != "string" or tree.first(node, "interpolation") is not None:
        return None
    return "".join(tree.text(part) for part in tree.named(node))


def _lambda_name(tree: Tree, node: int) -> int | None:
    """The variable, attribute or key of a hash that a lambda is the value of; keyword arguments give no name."""
    holder = node - tree.to_parent[node]
    if tree.type(holder) == "pair":
        key = tree.child(holder, "key")
        if key is None or tree.type(holder - tree.to_parent[holder]) != "hash":
            return None
        return tree.first(key, "string_content") if tree.type(key) == "string" else key
    if tree.type(holder) not in ("assignment", "operator_assignment"):
        return None
    left = tree.child(holder, "left")
    if left is None or tree.type(left) in ("element_reference", "left_assignment_list"):
        return None
    return tree.child(left, "method") if tree.type(left) == "call" else left


RUBY = Grammar(
    name="ruby",
    languages=("Ruby",),
    distribution="tree-sitter-ruby",
    module="tree_sitter_ruby",
    concepts={
        "source": "program",
        "comment": "comment",
        "declaration.function": "method singleton_method",
        "declaration.class": "class singleton_class",
        "declaration.module": "module",
        "declaration.parameters": "method_parameters lambda_parameters block_parameters",
        "declaration.parameter": "optional_parameter keyword_parameter splat_parameter hash_splat_parameter "
        "hash_splat_nil block_parameter forward_parameter destructured_parameter",
        "declaration.other": "alias undef begin_block end_block",
        "statement.block": "begin block body_statement do_block",
        "statement.assignment": "assignment operator_assignment",
        "statement.loop": "for while until while_modifier until_modifier",
        "statement.conditional": "if unless elsif if_modifier unless_modifier",
        "statement.branch": "else",
        "statement.match": "case case_match",
        "statement.case": "when in_clause",
        "statement.handler": "rescue ensure rescue_modifier",
        "statement.return": "return",
        "statement.jump": "break next redo retry",
        "statement.other": "empty_statement",
        "expression.call": "call",
        "expression.arguments": "argument_list",
        "expression.argument": "block_argument forward_argument",
        "expression.literal": "integer float rational complex string character simple_symbol delimited_symbol regex "
        "subshell heredoc_beginning true false nil",
        "expression.interpolation": "interpolation",
        "expression.collection": "array hash string_array symbol_array",
        "expression.identifier": "identifier constant instance_variable class_variable global_variable "
        "hash_key_symbol operator setter self super encoding file line",
        "expression.binary": "binary range test_pattern",
        "expression.unary": "unary",
        "expression.member": "scope_resolution",
        "expression.index": "element_reference",
        "expression.lambda": "lambda",
        "expression.conditional": "conditional",
        "expression.yield": "yield",
        "expression.other": "chained_string parenthesized_statements right_assignment_list splat_argument "
        "hash_splat_argument",
        "type.clause": "superclass",
        "pattern": "pattern alternative_pattern array_pattern as_pattern expression_reference_pattern find_pattern "
        "hash_pattern keyword_pattern match_pattern parenthesized_pattern variable_reference_pattern "
        "destructured_left_assignment left_assignment_list rest_assignment",
        "data.pair": "pair",
        "none": "bare_string bare_symbol block_body do escape_sequence exception_variable exceptions heredoc_body "
        "heredoc_content heredoc_end if_guard in string_content then uninterpreted unless_guard",
    },
    cases=(
        Case(kinds="call", child=". &. ::", concept="expression.call"),
        Case(kinds="call", words_of="method", words="raise fail", concept="statement.exception"),
        Case(
            kinds="identifier",
            parent="program body_statement block_body then else begin ensure if_modifier unless_modifier",
            words="raise",
            concept="statement.exception",
        ),
        Case(kinds="call", words_of="method", words=_IMPORTING, concept="declaration.import"),
        Case(kinds="begin", child="rescue ensure", concept="statement.exception"),
        Case(kinds="body_statement", parent="do_block", concept="none"),
        Case(kinds="identifier", parent="block_parameters", field="locals", concept="expression.identifier"),
        Case(
            kinds="identifier",
            parent="method_parameters lambda_parameters block_parameters",
            concept="declaration.parameter",
        ),
        Case(
            kinds="splat_parameter hash_splat_parameter hash_splat_nil",
            parent="array_pattern find_pattern hash_pattern destructured_parameter",
            concept="pattern",
        ),
        Case(kinds="destructured_parameter", parent="destructured_parameter", concept="pattern"),
        Case(kinds="argument_list", parent="return break next", concept="expression.other"),
        Case(kinds="pair", parent="argument_list", concept="expression.argument"),
        Case(kinds="scope_resolution", parent="class module", field="name", concept="expression.identifier"),
        Case(
            kinds="scope_resolution",
            parent="scope_resolution",
            parent_concept="expression.identifier",
            concept="expression.identifier",
        ),
        Case(kinds="integer float", parent="rational complex", concept="none"),
    ),
    units=(
        Unit(kinds="method singleton_method", unit="function", returns=""),
        Unit(kinds="lambda", unit="lambda", name=_lambda_name, returns=""),
        Unit(kinds="class", unit="class", parameters="", returns=""),
        Unit(kinds="module", unit="module", parameters="", returns=""),
        Unit(kinds="singleton_class", unit="scope", name="", parameters="", returns=""),
    ),
    imports=(Import(kinds="call", read=_import, words_of="method", words=_IMPORTING),),
    constructors=frozenset({"initialize"}),
    wrappers="argument_list call",
    tests=Tests(name=r"^test_|^Test[A-Z_]|[A-Za-z\d]Test$"),
)

GRAMMARS = (RUBY,)
