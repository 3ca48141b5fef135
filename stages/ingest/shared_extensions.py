"""Extensions that several languages share: patterns over the text, tried in order, decide which one it is."""

_C_PLUS_PLUS = (
    r"(?m)^[ \t]*(?:template[ \t]*<|namespace(?:[ \t]+[\w:]+)?[ \t]*(?:\{|$)"
    r"|using[ \t]+(?:namespace|typename|\w+::|\w+[ \t]*=)"
    r"|(?:public|private|protected)(?:[ \t]+(?:slots|Q_SLOTS))?[ \t]*:"
    r"|(?:enum[ \t]+)?class[ \t]+(?:[A-Z_]\w*[ \t]+)*\w+[ \t]*(?:final[ \t]*)?[:{;]"
    r"|class[ \t]+(?:[\w()\"]+[ \t]+)*\w+[ \t]*$|(?:inline |static )*constexpr\b"
    r"|friend[ \t]+(?:class|struct)\b)"
    r"|\bstd::\w|\b(?:static|dynamic|reinterpret|const)_cast<|[ \t)]noexcept\b"
    r"|\bstruct[ \t]+\w+[ \t]*:[ \t]*(?:public|private)\b"
    r"|(?m)^[ \t]*#[ \t]*include[ \t]*<(?:string|vector|map|set|memory|utility|algorithm|iostream|functional"
    r"|type_traits|unordered_map|unordered_set|atomic|mutex|thread"
    r"|c(?:std(?:int|io|lib|def|arg)|string|math|assert|errno|limits|time))>"
    r"|\boperator[ \t]*(?:==|!=|<<|>>|\(\)|\[\]|[-+*/<>=])[ \t]*\(|\w::\w+[ \t]*[({;&*>]"
    r"|(?m)^[ \t]*virtual[ \t]+[\w~]|\)[ \t]*const[ \t]*[;{]"
    r"|\bconst[ \t]+[\w:<>]+[ \t]*&[ \t]*\w*[,)]|= delete;|= default;|\bnullptr\b"
)
_OBJECTIVE_C = r"(?m)^[ \t]*(?:@(?:interface|implementation|protocol|property|end|class|import)\b|#import[ \t]+[<\"])"
_PERL = (
    r"(?m)^[ \t]*(?:use[ \t]+(?:strict|warnings|v?5|\w+::|Test|POSIX|lib|constant|vars|Getopt)"
    r"|package[ \t]+[\w:]+;|my[ \t]+[$@%(]|sub[ \t]+\w+|require[ \t]+[\w:\"'])"
)
_PROLOG = r"(?m)^(?::-[ \t]*\w|[a-z]\w*(?:\([^\n]*\))?[ \t]*:-)"
_FORTH = r"(?m)^(?:: [^ \n]|\\ |\( )"

SHARED_EXTENSIONS: dict[str, tuple[tuple[tuple[str, str], ...], str | None]] = {
    ".as": ((("ActionScript", r"\b(?:package|class|import flash|function)\b"), ("AngelScript", r"\bvoid\b")), None),
    ".cls": (
        (
            ("TeX", r"(?m)^[ \t]*(?:\\\w+|%)"),
            ("VBA", r"(?m)^(?:Attribute VB_|VERSION \d)"),
            ("Apex", r"(?i)\b(?:public|private|global)\b[^\n]*\bclass\b"),
        ),
        None,
    ),
    ".d": (
        (
            ("Makefile", r"(?m)^[\w./-]+\.l?[ohd][ \t]*:"),
            ("D", r"(?m)^[ \t]*(?:module|import)[ \t]+[\w.]+|\b(?:void|unittest|auto)\b"),
        ),
        None,
    ),
    ".f": ((("Forth", _FORTH), ("Fortran", r"(?im)^[c*! \t]|\bsubroutine\b")), "Fortran"),
    ".fs": (
        (
            ("GLSL", r"(?m)^[ \t]*(?:#version|precision|uniform|varying|vec[234])\b"),
            ("F#", r"(?m)^[ \t]*(?:#light|open|let|module|namespace|type|//)(?:[ \t]|$)"),
            ("Forth", _FORTH),
        ),
        "F#",
    ),
    ".h": ((("Objective-C", _OBJECTIVE_C), ("C++", _C_PLUS_PLUS)), "C"),
    ".inc": (
        (
            ("PHP", r"<\?(?:php|=)"),
            ("C++", r"\bstd::|(?m)^[ \t]*template[ \t]*<|^[ \t]*namespace\b"),
            ("C", r"(?m)^[ \t]*(?:#[ \t]*(?:include|define|ifdef|ifndef|if)\b|(?:static|extern|typedef|struct)[ \t])"),
            ("Assembly", r"(?im)^[ \t]*(?:[.%](?:macro|section|include)|mov|equ|proc)\b"),
            ("SQL", r"(?im)^[ \t]*(?:select|insert into|create table|drop table|set)\b"),
            ("HTML", r"(?i)<(?:div|p|table|span|a|html)\b"),
        ),
        None,
    ),
    ".m": (
        (
            ("Objective-C", _OBJECTIVE_C),
            ("MATLAB", r"(?m)^[ \t]*(?:function\b|%|classdef\b|end\b|clear\b|clc\b)"),
            ("Mercury", r"(?m)^:- module"),
            ("Wolfram Language", r"\(\*|\w\[[^\n]*\][ \t]*:?="),
            ("Objective-C", r"(?m)^#[ \t]*include|^//|/\*"),
        ),
        "MATLAB",
    ),
    ".pl": ((("Perl", _PERL), ("Prolog", _PROLOG)), "Perl"),
    ".pp": (
        (("Puppet", r"(?m)^[ \t]*(?:class|define|node|include)[ \t]+[\w:'\"]+"), ("Pascal", r"(?i)\bbegin\b")),
        None,
    ),
    ".pro": (
        (
            ("Prolog", _PROLOG),
            ("QMake", r"(?m)^[ \t]*(?:HEADERS|SOURCES|TEMPLATE|TARGET|QT|CONFIG|SUBDIRS)[ \t]*[+\-*]?="),
            ("IDL", r"(?im)^[ \t]*(?:pro|function)[ \t]+\w+"),
        ),
        None,
    ),
    ".sql": (
        (
            ("PLpgSQL", r"(?i)\blanguage[ \t]+'?plpgsql\b|\bas[ \t]+\$(?:\w*)\$[^$]*\bbegin\b"),
            (
                "PLSQL",
                r"(?i)\bcreate[ \t]+(?:or[ \t]+replace[ \t]+)?(?:package|type[ \t]+body)\b|\bvarchar2\b",
            ),
            ("TSQL", r"(?im)^[ \t]*go[ \t]*$|\bdeclare[ \t]+@\w|\[dbo\]\."),
        ),
        "SQL",
    ),
    ".t": ((("Perl", _PERL), ("Turing", r"(?m)^[ \t]*(?:proc|put|var[ \t]+\w+[ \t]*:)[ \t]")), "Perl"),
    ".ts": ((("XML", r"\A\s*(?:<\?xml|<!DOCTYPE TS|<TS\b)"),), "TypeScript"),
    ".v": (
        (
            ("Verilog", r"(?m)^[ \t]*(?:module[ \t]+\w+|`(?:define|include|ifdef|timescale)|endmodule|always\b)"),
            ("Rocq Prover", r"(?m)^[ \t]*(?:Require|Proof|Theorem|Lemma|Definition|Inductive|Section|Set|From)\b"),
            ("V", r"(?m)^(?:pub[ \t]+)?(?:fn|module|import|struct|const)\b"),
        ),
        "Verilog",
    ),
}  # fmt: skip
"""Extension: (language, RE2 pattern) in the order they are tried, and the language where none matches."""
