"""Rust."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit
from stages.parse.tree import Tree


def _written(tree: Tree, node: int) -> str:
    """A path without the white space in it."""
    return "".join(tree.text(node).split())


def _use_paths(tree: Tree, node: int) -> Iterator[str]:
    """The paths that an item of `use` stands for: `b::{C, D as E}` gives `b::C` and `b::D`."""
    kind = tree.type(node)
    if kind == "use_as_clause":
        path = tree.child(node, "path")
        yield _written(tree, node if path is None else path)
    elif kind == "scoped_use_list":
        path, group = tree.child(node, "path"), tree.child(node, "list")
        before = "" if path is None else _written(tree, path)
        inside = () if group is None else _use_paths(tree, group)
        yield from (f"{before}::{item}" for item in inside)
    elif kind == "use_list":
        for item in tree.named(node):
            if tree.type(item) not in ("line_comment", "block_comment"):
                yield from _use_paths(tree, item)
    else:
        yield _written(tree, node)


def _use_item(tree: Tree, place: int, item: int) -> Iterator[Imported]:
    """One item of `use`: a group names what stands in it, everything else its last part."""
    kind = tree.type(item)
    if kind == "use_list":
        for inner in tree.named(item):
            yield from _use_item(tree, inner, inner)
    elif kind == "scoped_use_list":
        path, group = tree.child(item, "path"), tree.child(item, "list")
        names = [] if group is None else list(_use_paths(tree, group))
        yield place, "" if path is None else _written(tree, path), names
    elif kind not in ("line_comment", "block_comment"):
        module, _, name = next(_use_paths(tree, item)).rpartition("::")
        yield place, module or name, [name] if module else []


def _use(tree: Tree, node: int) -> Iterator[Imported]:
    """`use a::b::{C, d::E}`, `use a::b::C as D`, `use a::*`, `use {a::b, c}`."""
    item = tree.child(node, "argument")
    if item is not None:
        yield from _use_item(tree, node, item)


def _extern_crate(tree: Tree, node: int) -> Iterator[Imported]:
    """`extern crate a as b;`."""
    name = tree.child(node, "name")
    if name is not None:
        yield node, tree.text(name), []


def _has_body(tree: Tree, node: int) -> bool:
    return tree.child(node, "body") is not None


_PATTERNS = (
    "match_pattern captured_pattern field_pattern generic_pattern mut_pattern or_pattern range_pattern ref_pattern "
    "reference_pattern remaining_field_pattern slice_pattern struct_pattern tuple_pattern tuple_struct_pattern"
)

RUST = Grammar(
    name="rust",
    languages=("Rust",),
    distribution="tree-sitter-rust",
    module="tree_sitter_rust",
    concepts={
        "source": "source_file",
        "comment": "line_comment block_comment shebang",
        "declaration.function": "function_item function_signature_item",
        "declaration.class": "struct_item union_item trait_item impl_item",
        "declaration.enum": "enum_item",
        "declaration.enum_member": "enum_variant",
        "declaration.module": "mod_item",
        "declaration.import": "use_declaration extern_crate_declaration",
        "declaration.variable": "const_item static_item let_declaration field_declaration",
        "declaration.type": "type_item associated_type",
        "declaration.parameters": "parameters closure_parameters",
        "declaration.parameter": "parameter self_parameter variadic_parameter",
        "declaration.type_parameters": "type_parameters for_lifetimes",
        "declaration.type_parameter": "type_parameter lifetime_parameter const_parameter",
        "declaration.decorator": "attribute_item inner_attribute_item",
        "declaration.modifier": "visibility_modifier function_modifiers extern_modifier mutable_specifier",
        "declaration.macro": "macro_definition",
        "declaration.other": "foreign_mod_item",
        "statement.block": "block declaration_list field_declaration_list enum_variant_list match_block",
        "statement.expression": "expression_statement",
        "statement.assignment": "assignment_expression compound_assignment_expr",
        "statement.loop": "for_expression while_expression loop_expression",
        "statement.conditional": "if_expression",
        "statement.branch": "else_clause",
        "statement.match": "match_expression",
        "statement.case": "match_arm",
        "statement.exception": "try_block",
        "statement.return": "return_expression",
        "statement.jump": "break_expression continue_expression",
        "statement.context": "unsafe_block",
        "statement.other": "empty_statement",
        "expression.call": "call_expression",
        "expression.arguments": "arguments",
        "expression.literal": "integer_literal float_literal string_literal raw_string_literal char_literal "
        "boolean_literal",
        "expression.collection": "array_expression tuple_expression unit_expression struct_expression",
        "expression.identifier": "identifier field_identifier shorthand_field_identifier self super crate metavariable",
        "expression.binary": "binary_expression range_expression let_chain",
        "expression.unary": "unary_expression reference_expression negative_literal try_expression",
        "expression.member": "field_expression scoped_identifier",
        "expression.index": "index_expression",
        "expression.lambda": "closure_expression",
        "expression.cast": "type_cast_expression",
        "expression.async": "await_expression async_block",
        "expression.yield": "yield_expression",
        "expression.other": "parenthesized_expression let_condition const_block gen_block base_field_initializer",
        "type.reference": "type_identifier primitive_type generic_type generic_type_with_turbofish "
        "scoped_type_identifier array_type pointer_type reference_type tuple_type unit_type function_type never_type "
        "dynamic_type abstract_type bounded_type qualified_type bracketed_type removed_trait_bound "
        "higher_ranked_trait_bound lifetime",
        "type.arguments": "type_arguments",
        "type.clause": "where_clause trait_bounds use_bounds",
        "pattern": _PATTERNS,
        "macro.use": "macro_invocation",
        "data.pair": "field_initializer shorthand_field_initializer",
        "none": "attribute doc_comment inner_doc_comment_marker outer_doc_comment_marker string_content "
        "escape_sequence field_initializer_list ordered_field_declaration_list generic_function label type_binding "
        "where_predicate use_list use_as_clause use_wildcard scoped_use_list macro_rule token_tree token_tree_pattern "
        "token_repetition token_repetition_pattern token_binding_pattern fragment_specifier",
    },
    cases=(
        Case(
            kinds=f"identifier scoped_identifier macro_invocation {_PATTERNS}",
            parent="closure_parameters",
            concept="declaration.parameter",
        ),
        Case(kinds="lifetime", parent="for_lifetimes", concept="declaration.type_parameter"),
        Case(
            kinds="type_identifier",
            parent="struct_item union_item enum_item trait_item type_item associated_type type_parameter",
            field="name",
            concept="expression.identifier",
        ),
        # paths that name a module, a type, a macro or a pattern are no access to a member
        Case(
            kinds="scoped_identifier",
            parent="use_declaration use_as_clause use_list use_wildcard scoped_use_list attribute macro_invocation "
            f"visibility_modifier {_PATTERNS}",
            concept="expression.identifier",
        ),
        Case(
            kinds="identifier scoped_identifier",
            parent="scoped_type_identifier generic_type generic_type_with_turbofish",
            concept="type.reference",
        ),
        Case(
            kinds="scoped_identifier",
            parent="scoped_identifier",
            parent_concept="expression.identifier",
            concept="expression.identifier",
        ),
        Case(
            kinds="identifier scoped_identifier",
            parent="scoped_identifier",
            parent_concept="type.reference",
            concept="type.reference",
        ),
    ),
    units=(
        Unit(kinds="function_item function_signature_item", unit="function"),
        Unit(kinds="struct_item union_item", unit="struct", parameters="", returns=""),
        Unit(kinds="trait_item", unit="trait", parameters="", returns=""),
        Unit(kinds="enum_item", unit="enum", parameters="", returns=""),
        Unit(kinds="mod_item", unit="module", parameters="", returns="", when=_has_body),
        # `type*` leads from `&'a Stack<T>` to `Stack`
        Unit(kinds="impl_item", unit="scope", name="type*", parameters="", returns=""),
        Unit(
            kinds="closure_expression",
            unit="lambda",
            name="^let_declaration/:identifier|^const_item/name|^static_item/name|^field_initializer/field|"
            "^assignment_expression/left/field|^assignment_expression/:identifier",
        ),
    ),
    imports=(
        Import(kinds="use_declaration", read=_use),
        Import(kinds="extern_crate_declaration", read=_extern_crate),
    ),
    leading="attribute_item",
    tests=Tests(
        header=r"#\[\s*(?:\w+\s*::\s*)*(?:test|rstest|test_case|bench|wasm_bindgen_test)\b|#\[\s*cfg\(\s*test\s*\)"
    ),
)

GRAMMARS = (RUST,)
"""Rust's table."""
