"""C, and what C++ has in common with it."""

import re
from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit, merged
from stages.parse.tree import Tree

_BARE_DECLARATORS = ("parenthesized_declarator", "reference_declarator", "attributed_declarator")
"""Declarators that hold the next one in no field."""
_MACRO_LIKE = re.compile(r"[A-Z][A-Z0-9_]*")
_BUILT_IN = re.compile(r"(?:(?:void|bool|char|short|int|long|float|double|signed|unsigned)\b\s*)+")


def include(tree: Tree, node: int) -> Iterator[Imported]:
    """`#include <a/b.h>`, `#include MACRO`."""
    path = tree.child(node, "path")
    if path is not None:
        yield node, tree.text(path).strip('<>"'), []


def has_body(tree: Tree, node: int) -> bool:
    """Whether a class or an enumeration is defined and not only named."""
    return tree.child(node, "body") is not None


def declarators(tree: Tree, node: int) -> list[int]:
    """From the first declarator of a declaration down to the one that is the name."""
    chain: list[int] = []
    below = tree.child(node, "declarator")
    while below is not None:
        chain.append(below)
        kind = tree.type(below)
        if kind == "operator_cast":
            break
        if kind in _BARE_DECLARATORS:
            inner = list(tree.named(below))
            at = 0 if kind == "attributed_declarator" else -1
            below = inner[at] if inner else None
        else:
            below = tree.child(below, "declarator")
    return chain


def declared_name(tree: Tree, node: int) -> int | None:
    """The name that a declaration declares first."""
    chain = declarators(tree, node)
    return chain[-1] if chain else None


def declared_function(tree: Tree, node: int) -> int | None:
    """The declarator with the parameters, if what is declared first is a function and not a pointer to one."""
    chain = declarators(tree, node)
    while len(chain) > 1 and tree.type(chain[-2]) == "parenthesized_declarator":
        del chain[-2]
    return chain[-2] if len(chain) > 1 and tree.type(chain[-2]) == "function_declarator" else None


def is_function(tree: Tree, node: int) -> bool:
    """Whether a definition or declaration is that of a function.

    `int x MACRO(y);` is none: the parser takes x for an error and the macro for a function.
    """
    function = declared_function(tree, node)
    if function is None:
        return False
    return not (tree.text(function).partition("(")[0].isupper() and tree.first(node, "ERROR") is not None)


_FILE_LEVEL = {"translation_unit", "preproc_ifdef", "preproc_if", "preproc_elif", "preproc_else", "declaration_list"}


def _macro_body(tree: Tree, node: int) -> int | None:
    """The body after a statement like `TEST(a, b)` outside of functions, where a macro defines a function."""
    if tree.type(node - tree.to_parent[node]) not in _FILE_LEVEL:
        return None
    body = tree.last[node]
    is_call = tree.first(node, "call_expression") is not None and tree.length[body - 1] == 0
    return body if is_call and body < len(tree) and tree.type(body) == "compound_statement" else None


def _is_macro_call(tree: Tree, node: int) -> bool:
    return _macro_body(tree, node) is not None


def _is_macro_definition(tree: Tree, node: int) -> bool:
    """`TEST(a) { ... }`, which the parser takes for a variable in parentheses of type TEST."""
    declarator = tree.child(node, "declarator")
    return declarator is not None and tree.type(declarator) == "parenthesized_declarator"


def function_parameters(tree: Tree, node: int) -> int | None:
    """The list of parameters of a definition or declaration of a function."""
    function = declared_function(tree, node)
    return None if function is None else tree.child(function, "parameters")


def declared_type(tree: Tree, node: int) -> int | None:
    """The type at the front of a declaration.

    Where a macro that the parser does not know stands before it (`API int f();`), the macro is taken for the type and
    the type for an error.
    """
    found = tree.child(node, "type")
    error = None if found is None else tree.first(node, "ERROR")
    if found is None or error is None or not tree.start[found] < tree.start[error] < _name_start(tree, node):
        return found
    text, name = tree.text(error), tree.text(found)
    is_macro = _BUILT_IN.fullmatch(text) or (_MACRO_LIKE.fullmatch(name) and not _MACRO_LIKE.fullmatch(text))
    return error if is_macro else found


def _name_start(tree: Tree, node: int) -> int:
    declarator = tree.child(node, "declarator")
    return tree.end(node) if declarator is None else tree.start[declarator]


def class_name(tree: Tree, node: int) -> int | None:
    """The tag of a class or an enumeration, else the name that `typedef` gives to it."""
    name, parent = tree.child(node, "name"), tree.parent(node)
    if name is None and parent is not None and tree.type(parent) == "type_definition":
        return declared_name(tree, parent)
    return name


SHARED_CONCEPTS = {
    "source": "translation_unit",
    "comment": "comment",
    "declaration.function": "function_definition",
    "declaration.enum_member": "enumerator",
    "declaration.import": "preproc_include",
    "declaration.variable": "declaration",
    "declaration.declarator": "init_declarator",
    "declaration.type": "type_definition",
    "declaration.parameters": "parameter_list",
    "declaration.parameter": "parameter_declaration",
    "declaration.decorator": "attribute_specifier attribute_declaration ms_declspec_modifier",
    "declaration.modifier": "storage_class_specifier type_qualifier alignas_qualifier ms_based_modifier "
    "ms_call_modifier ms_pointer_modifier ms_restrict_modifier ms_signed_ptr_modifier ms_unaligned_ptr_modifier "
    "ms_unsigned_ptr_modifier",
    "declaration.macro": "preproc_def preproc_function_def",
    "declaration.other": "linkage_specification",
    "statement.block": "compound_statement declaration_list field_declaration_list enumerator_list",
    "statement.expression": "expression_statement",
    "statement.assignment": "assignment_expression",
    "statement.loop": "for_statement while_statement do_statement",
    "statement.conditional": "if_statement",
    "statement.branch": "else_clause",
    "statement.match": "switch_statement",
    "statement.case": "case_statement",
    "statement.exception": "seh_try_statement",
    "statement.handler": "seh_except_clause seh_finally_clause",
    "statement.return": "return_statement",
    "statement.jump": "break_statement continue_statement goto_statement seh_leave_statement",
    "statement.other": "labeled_statement",
    "expression.call": "call_expression offsetof_expression",
    "expression.arguments": "argument_list",
    "expression.literal": "number_literal string_literal system_lib_string char_literal true false null",
    "expression.collection": "initializer_list",
    "expression.identifier": "identifier field_identifier statement_identifier",
    "expression.binary": "binary_expression",
    "expression.unary": "unary_expression update_expression pointer_expression sizeof_expression alignof_expression "
    "preproc_defined",
    "expression.member": "field_expression",
    "expression.index": "subscript_expression",
    "expression.conditional": "conditional_expression",
    "expression.cast": "cast_expression",
    "expression.other": "parenthesized_expression comma_expression concatenated_string "
    "extension_expression generic_expression gnu_asm_expression",
    "type.reference": "type_identifier primitive_type sized_type_specifier struct_specifier union_specifier "
    "enum_specifier",
    "macro.directive": "preproc_if preproc_ifdef preproc_elif preproc_elifdef preproc_else preproc_call",
    "data.pair": "initializer_pair",
    "none": "abstract_array_declarator abstract_function_declarator abstract_parenthesized_declarator "
    "abstract_pointer_declarator array_declarator attribute attributed_declarator attributed_statement bitfield_clause "
    "character escape_sequence field_declaration field_designator function_declarator gnu_asm_clobber_list "
    "gnu_asm_goto_list gnu_asm_input_operand gnu_asm_input_operand_list gnu_asm_output_operand "
    "gnu_asm_output_operand_list gnu_asm_qualifier parenthesized_declarator pointer_declarator preproc_arg "
    "preproc_directive preproc_params string_content subscript_designator subscript_range_designator type_descriptor",
}
"""Concepts of the kinds that both grammars have."""

CLASS_PLACES = "translation_unit declaration_list preproc_if preproc_ifdef preproc_elif preproc_elifdef preproc_else"
"""Where a class stands that is declared but not defined: `struct A;`."""

SHARED_CASES = (
    Case(kinds="argument_list", parent="attribute_specifier attribute", concept="none"),
    Case(kinds="call_expression", parent="argument_list", parent_concept="none", concept="none"),
    Case(kinds="struct_specifier union_specifier", child="field_declaration_list", concept="declaration.class"),
    Case(kinds="enum_specifier", child="enumerator_list", concept="declaration.enum"),
    Case(kinds="struct_specifier union_specifier enum_specifier", parent=CLASS_PLACES, concept="declaration.other"),
    Case(kinds="type_identifier", field="declarator", concept="expression.identifier"),
    Case(
        kinds="type_identifier",
        parent="struct_specifier union_specifier enum_specifier",
        field="name",
        concept="expression.identifier",
    ),
    Case(kinds="pointer_declarator", child="function_declarator", through="pointer_declarator", concept="none"),
    Case(
        kinds="identifier field_identifier array_declarator pointer_declarator",
        parent="declaration field_declaration",
        field="declarator",
        concept="declaration.declarator",
    ),
)

CLASS_UNITS = (
    Unit(
        kinds="struct_specifier union_specifier",
        unit="struct",
        name=class_name,
        parameters="",
        returns="",
        when=has_body,
    ),
    Unit(kinds="enum_specifier", unit="enum", name=class_name, parameters="", returns="", when=has_body),
)

C = Grammar(
    name="c",
    languages=("C",),
    distribution="tree-sitter-c",
    module="tree_sitter_c",
    concepts=merged(
        SHARED_CONCEPTS,
        {
            "expression.other": "compound_literal_expression",
            "type.reference": "macro_type_specifier",
            "none": "variadic_parameter",
        },
    ),
    cases=(
        Case(kinds="declaration", parent="function_definition", concept="none"),  # int f(a) int a; { ... }
        Case(  # int (*f)(int);
            kinds="declaration",
            child="parenthesized_declarator",
            through="function_declarator pointer_declarator",
            concept="declaration.variable",
        ),
        Case(
            kinds="declaration",
            child="function_declarator",
            through="pointer_declarator",
            concept="declaration.function",
        ),
        Case(
            kinds="field_declaration",
            child="field_identifier pointer_declarator array_declarator function_declarator parenthesized_declarator "
            "attributed_declarator bitfield_clause struct_specifier union_specifier",
            concept="declaration.variable",
        ),
        Case(kinds="identifier", parent="parameter_list", concept="declaration.parameter"),  # int f(a) int a; { ... }
        *SHARED_CASES,
    ),
    units=(
        *CLASS_UNITS,
        Unit(
            kinds="function_definition declaration",
            unit="function",
            name=declared_name,
            parameters=function_parameters,
            returns=declared_type,
            when=is_function,
        ),
        Unit(
            kinds="expression_statement",
            unit="function",
            name=":call_expression/function",
            parameters=":call_expression/arguments",
            returns="",
            body=_macro_body,
            when=_is_macro_call,
        ),
        Unit(
            kinds="function_definition",
            unit="function",
            name="type",
            parameters="declarator",
            returns="",
            when=_is_macro_definition,
        ),
    ),
    imports=(Import(kinds="preproc_include", read=include),),
    wrappers="type_definition declaration field_declaration linkage_specification",
    asynchronous="",
    tests=Tests(name=r"^test_"),
)

GRAMMARS = (C,)
