"""Bash and other shells."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _source(tree: Tree, node: int) -> Iterator[Imported]:
    """`source a.sh`, `. "a.sh"`; not what is only known when the script runs."""
    path = tree.child(node, "argument")
    kind = None if path is None else tree.type(path)
    if path is None or kind not in ("word", "string", "raw_string"):
        return
    # a path that goes on behind the node: `. /lib/`arch`/x.sh`
    if tree.source[tree.end(path) : tree.end(path) + 1].strip(b" \t\r\n;&|)"):
        return
    if all(tree.type(part) == "string_content" for part in tree.named(path)):
        yield node, tree.text(path) if kind == "word" else tree.text(path)[1:-1], []


BASH = Grammar(
    name="bash",
    languages=("Shell",),
    distribution="tree-sitter-bash",
    module="tree_sitter_bash",
    concepts={
        "source": "program",
        "comment": "comment",
        "declaration.function": "function_definition",
        "declaration.variable": "declaration_command",
        "statement.block": "compound_statement subshell do_group",
        "statement.assignment": "variable_assignment",
        "statement.loop": "for_statement c_style_for_statement while_statement",
        "statement.conditional": "if_statement elif_clause",
        "statement.branch": "else_clause",
        "statement.match": "case_statement",
        "statement.case": "case_item",
        "statement.other": "unset_command",
        "expression.call": "command",
        "expression.literal": "string raw_string ansi_c_string translated_string number word regex heredoc_body",
        "expression.collection": "array",
        "expression.identifier": "variable_name special_variable_name simple_expansion",
        "expression.binary": "binary_expression list pipeline",
        "expression.unary": "unary_expression postfix_expression negated_command",
        "expression.index": "subscript",
        "expression.conditional": "ternary_expression",
        "expression.other": "arithmetic_expansion brace_expression command_substitution concatenation expansion "
        "parenthesized_expression process_substitution test_command",
        "pattern": "extglob_pattern",
        "none": "command_name file_descriptor file_redirect heredoc_content heredoc_end heredoc_redirect heredoc_start "
        "herestring_redirect redirected_statement string_content test_operator variable_assignments",
    },
    cases=(
        Case(kinds="command", words_of="name", words="source .", concept="declaration.import"),
        Case(kinds="command", words_of="name", words="return", concept="statement.return"),
        Case(kinds="command", words_of="name", words="break continue", concept="statement.jump"),
        Case(kinds="variable_assignment variable_name", parent="declaration_command", concept="declaration.declarator"),
        # bare words are strings, but for names of commands, functions and variables in arithmetic
        Case(
            kinds="word", parent="command_name function_definition postfix_expression", concept="expression.identifier"
        ),
        Case(kinds="word", parent="binary_expression", field="left", concept="expression.identifier"),
        # `$x` is one name, not two
        Case(kinds="variable_name special_variable_name", parent="simple_expansion", concept="none"),
        Case(
            kinds="simple_expansion expansion command_substitution arithmetic_expansion",
            parent="string heredoc_body",
            concept="expression.interpolation",
        ),
    ),
    units=(Unit(kinds="function_definition", unit="function", parameters="", returns=""),),
    imports=(Import(kinds="command", read=_source, words_of="name", words="source ."),),
    tests=Tests(name=r"^test(?:_|[A-Z])"),
)

GRAMMARS = (BASH,)
"""The shells' table."""
