"""SQL."""

from stages.parse.grammar import Case, Grammar, Unit
from stages.parse.tree import Tree

# The grammar has a named node for every keyword.
_KEYWORDS = (
    "action add admin after all alter always analyze and any array as asc atomic attribute authorization "
    "auto_increment avro before begin between bigint bigserial bin_pack binary bit boolean box2d box3d brin btree by "
    "bytea cache cached called cascade cascaded case cast change char character characteristics check collate column "
    "columns comment commit committed compression compute concurrently conflict connection constraint constraints "
    "copy cost create cross csv current current_role current_timestamp current_user cycle data database date datetime "
    "datetime2 datetimeoffset decimal declare default deferrable deferred definer delayed delete delimited delimiter "
    "desc disable distinct do double drop duplicate each else enable encoding encrypted end engine enum escape "
    "escaped except exclude execute exists explain extended extension external false fields filter first float "
    "following follows for force force_not_null force_null force_quote foreign format freeze from full function "
    "generated geography geometry gin gist grant granted group groups hash having header high_priority if ignore "
    "image immediate immutable in include increment incremental index inet initially inner inout input inputformat "
    "insert instead int intersect interval into invoker is isolation join json jsonb jsonfile key language last "
    "lateral leakproof left level like limit lines local location logged low_priority main maintain match matched "
    "materialized maxvalue mediumint merge metadata minvalue modify money name names natural nchar new no none noscan "
    "not nothing nowait null nulls numeric nvarchar object_id of off offset oid oids old on only optimize option or "
    "orc order ordinality others out outer outputformat over overwrite owned owner parallel parquet partition "
    "partitioned password permissive pivot plain policy precedes preceding precision primary privileges procedure "
    "program public qualify quote range rcfile read real recursive references referencing refresh regclass "
    "regnamespace regproc regtype rename repeatable replace replication reset respect restart restrict restricted "
    "restrictive return returning returns revoke rewrite right rlike role rollback row rows safe schema security "
    "select separator sequence sequencefile serde serial serializable session session_user set setof show similar "
    "smalldatetime smallint smallmoney smallserial snapshot some sort spgist split stable start statement statistics "
    "stats stdin storage stored strict string support table tables tablespace tablets tblproperties temp temporary "
    "terminated text textfile then ties time timestamp timestamptz tinyint to transaction trigger true truncate type "
    "unbounded uncached uncommitted union unique unload unlogged unpivot unsafe unsigned until update use user using "
    "uuid vacuum valid value values varbinary varchar variadic varying verbose version view virtual volatile wait "
    "when where while window with within without write xml zerofill zone"
)


def _kinds(words: str) -> str:
    """The node kinds of some keywords."""
    return " ".join(f"keyword_{word}" for word in words.split())


# Types of one word have no node of their own, only their keyword.
_TYPE_WORDS = (
    "bigserial boolean box2d box3d bytea date datetime datetime2 geography geometry image inet interval json jsonb "
    "money name oid regclass regnamespace regproc regtype serial smalldatetime smallmoney smallserial string text "
    "timestamptz uuid xml"
)

# A `statement` around one of these says nothing of its own; the others hold the clauses of a query side by side.
_STATEMENTS = (
    "alter_database alter_index alter_materialized_view alter_policy alter_role alter_schema alter_sequence "
    "alter_table alter_type alter_view comment_statement drop_database drop_extension drop_function drop_index "
    "drop_materialized_view drop_procedure drop_role drop_schema drop_sequence drop_table drop_type drop_view "
    "grant_statement refresh_materialized_view reset_statement revoke_statement set_statement"
)
_TYPES = "create_table create_type create_view create_materialized_view"
_FUNCTIONS = "create_function create_procedure"
_OTHERS = "create_database create_extension create_index create_policy create_role create_sequence create_trigger"


def _returns(tree: Tree, node: int) -> int | None:
    """The type, or the columns, after `RETURNS`; `SETOF` and `TABLE` may stand between."""
    children = tree.named(node)
    for child in children:
        if tree.type(child) == "keyword_returns":
            break
    return next((child for child in children if tree.type(child) not in ("keyword_setof", "keyword_table")), None)


def _is_whole(tree: Tree, node: int) -> bool:
    """Whether the name follows its keyword; after an error it may be any word of another statement."""
    before = ""
    for child in tree.children(node):
        if tree.type(child) == "object_reference":
            return before != "ERROR"
        before = tree.type(child)
    return False


SQL = Grammar(
    name="sql",
    languages=("SQL",),
    distribution="tree-sitter-sql",
    module="tree_sitter_sql",
    concepts={
        "source": "program",
        "comment": "comment marginalia",
        "declaration.function": _FUNCTIONS,
        "declaration.module": "create_schema",
        "declaration.variable": "column_definition function_declaration var_declarations",
        "declaration.declarator": "var_declaration",
        "declaration.type": _TYPES,
        "declaration.parameters": "function_arguments",
        "declaration.parameter": "function_argument",
        "declaration.modifier": "function_cost function_language function_leakproof function_rows function_safety "
        "function_security function_set function_strictness function_support function_volatility",
        "declaration.other": _OTHERS,
        "statement.block": "block function_body procedure_body",
        "statement.assignment": "assignment",
        "statement.loop": "while_statement",
        "statement.context": "transaction",
        "expression.call": "invocation",
        "expression.argument": "named_argument",
        "expression.literal": "literal interval",
        "expression.collection": "array list",
        "expression.identifier": "identifier parameter",
        "expression.binary": "binary_expression between_expression",
        "expression.unary": "unary_expression exists",
        "expression.member": "path_expression",
        "expression.index": "subscript",
        "expression.conditional": "case",
        "expression.cast": "cast",
        "expression.other": "all_fields object_id ordered_set_aggregate parenthesized_expression window_function",
        "type.reference": "array_type bigint binary bit char datetime datetimeoffset decimal double enum float int "
        "mediumint nchar numeric nvarchar smallint time timestamp tinyint varbinary varchar",
        "query.statement": f"statement subquery create_query {_STATEMENTS}",
        "query.clause": "add_column add_constraint alter_column change_column change_ownership column_position "
        "constraint covering_columns cross_join cte delete drop_column drop_constraint exclude_columns "
        "filter_expression from group_by having index_hint insert join lateral_cross_join lateral_join limit "
        "modify_column null_treatment offset order_by partition_by pivot qualify rename_column rename_columns "
        "rename_object returning row_format select set_configuration set_operation set_schema storage_location "
        "storage_parameters stored_as table_option table_partition table_sort tablespace tablet_split unpivot update "
        "values when_clause where window_clause window_frame",
        "token.keyword": _kinds(_KEYWORDS),
        "token.operator": "bang distinct_from is_not not_distinct_from not_in not_like not_rlike not_similar_to "
        "op_other op_unary_other similar_to",
        "token.punctuation": "dollar_quote",
        "none": "array_size_definition assignment_list column column_definitions composite_field constraints direction "
        "enum_elements field frame_definition index_fields object_reference order_target ordered_columns relation "
        "select_expression table_privilege term window_specification",
    },
    cases=(
        Case(
            kinds="statement",
            child=f"{_TYPES} {_FUNCTIONS} {_OTHERS} {_STATEMENTS} create_schema block transaction while_statement",
            concept="none",
        ),
        Case(kinds="create_type", child="enum_elements", concept="declaration.enum"),
        Case(kinds="literal", parent="enum enum_elements", concept="declaration.enum_member"),
        Case(kinds="object_reference", field="custom_type", concept="type.reference"),
        Case(
            kinds="object_reference",
            parent="relation invocation field all_fields",
            child=".",
            concept="expression.member",
        ),
        Case(kinds="field", child="object_reference", concept="expression.member"),
        Case(kinds="term", parent="invocation", concept="expression.argument"),
        Case(kinds="list", child="column", concept="none"),
        Case(
            kinds=_kinds(_TYPE_WORDS),
            parent="column_definition function_argument function_declaration var_declaration cast create_function "
            "alter_column alter_type create_sequence alter_sequence",
            concept="type.reference",
        ),
        Case(kinds="keyword_trigger", parent="create_function", concept="type.reference"),
    ),
    units=(
        Unit(
            kinds=_FUNCTIONS,
            unit="function",
            name=":object_reference",
            parameters=":function_arguments",
            returns=_returns,
            body=":function_body|:procedure_body",
            when=_is_whole,
        ),
    ),
    wrappers="statement",
)

GRAMMARS = (SQL,)
