"""What imports mean in small repositories of every language, parsed by the real grammars."""

from collections.abc import Mapping

import pyarrow as pa
import pytest

from jobs import repository_imports
from jobs.repository_imports import Files, resolve
from jobs.repository_order import _imports, _symbols
from stages.parse import syntax

Repository = Mapping[str, str]
"""Text by path."""
Edges = dict[str, list[str]]
"""Paths that a file leads to, groups spelled out; files that lead nowhere are left out."""


@pytest.fixture(scope="module")
def parse():
    return syntax.STAGE.open(syntax.SyntaxConfig())


def edges_of(parse, language: str, repository: Repository) -> Edges:
    paths = sorted(repository)
    table = pa.table({"text": [repository[path] for path in paths], "language": [language] * len(paths)})
    table = table.append_column("units", parse(table)["units"])
    files, found = Files(paths, _symbols(table).to_pylist()), {}
    for number, entries in enumerate(_imports(table).to_pylist()):
        targets = {t for e in entries for t in resolve(files, number, language, e["module"], e["names"])}
        spelled = {m for t in targets for m in ([t] if t < len(paths) else files.groups[t - len(paths)])} - {number}
        if spelled:
            found[paths[number]] = [paths[target] for target in sorted(spelled)]
    return found


CASES: dict[str, tuple[str, Repository, Edges]] = {
    "python": (
        "Python",
        {
            "src/app/__init__.py": "from .core import run\n",
            "src/app/core.py": "import os, json\nfrom . import util\nfrom .io.read import load as l\nimport app.io\n",
            "src/app/util.py": "from __future__ import annotations\n",
            "src/app/json.py": "",
            "src/app/io/__init__.py": "",
            "src/app/io/read.py": "from .. import util as u\nfrom ..core import *\nfrom app import util, version\n",
            "tests/test_core.py": "from app.core import run\nimport helpers\nfrom app import *\n",
            "tests/helpers.py": "import app.io.read\n",
        },
        {
            "src/app/__init__.py": ["src/app/core.py"],
            "src/app/core.py": ["src/app/io/__init__.py", "src/app/io/read.py", "src/app/util.py"],
            "src/app/io/read.py": ["src/app/__init__.py", "src/app/core.py", "src/app/util.py"],
            "tests/test_core.py": ["src/app/__init__.py", "src/app/core.py", "tests/helpers.py"],
            "tests/helpers.py": ["src/app/io/read.py"],
        },
    ),
    "python at the root": (
        "Python",
        {"__init__.py": "", "a.py": "from . import b\nfrom . import name\n", "b.py": "from .missing import x\n"},
        {"a.py": ["__init__.py", "b.py"]},
    ),
    "javascript": (
        "JavaScript",
        {
            "src/index.js": "import a, {b} from './a';\nexport * from './lib';\nimport React from 'react';\n",
            "src/a.js": "const c = require('../c.json');\nimport('./late.mjs');\n",
            "src/late.mjs": "import x from '@/a';\nimport '../../outside';\n",
            "src/lib/index.js": "import './style.css?inline';\n",
            "src/lib/style.css": "",
            "c.json": "{}",
        },
        {
            "src/index.js": ["src/a.js", "src/lib/index.js"],
            "src/a.js": ["c.json", "src/late.mjs"],
            "src/late.mjs": ["src/a.js"],
            "src/lib/index.js": ["src/lib/style.css"],
        },
    ),
    "typescript": (
        "TypeScript",
        {
            "a/main.ts": "import type {T} from './types.js';\nimport {w} from './widget';\nimport q from 'a/types';\n",
            "a/types.ts": "export type T = 1;\n",
            "a/widget/index.tsx": "import fs = require('fs');\n",
        },
        {"a/main.ts": ["a/types.ts", "a/widget/index.tsx"]},
    ),
    "java": (
        "Java",
        {
            "src/main/java/p/q/A.java": "package p.q;\nimport java.util.List;\nimport p.r.*;\nclass A {}\n",
            "src/main/java/p/r/B.java": "package p.r;\nimport static p.q.A.make;\nclass B {}\n",
            "src/main/java/p/r/C.java": "package p.r;\nimport p.q.A;\nimport static p.r.B.*;\ninterface C {}\n",
        },
        {
            "src/main/java/p/q/A.java": ["src/main/java/p/r/B.java", "src/main/java/p/r/C.java"],
            "src/main/java/p/r/B.java": ["src/main/java/p/q/A.java"],
            "src/main/java/p/r/C.java": ["src/main/java/p/q/A.java", "src/main/java/p/r/B.java"],
        },
    ),
    "kotlin": (
        "Kotlin",
        {
            "one.kt": "package a.b\nclass Thing\nfun make() = Thing()\n",
            "two.kt": "package c\nimport a.b.make\nimport a.b.Thing as T\nfun f() = make()\n",
            "three.kt": "package c\nimport a.b.*\nval x = 1\n",
        },
        {"three.kt": ["one.kt"], "two.kt": ["one.kt"]},
    ),
    "scala": (
        "Scala",
        {
            "a/X.scala": "package com.x\nobject X { val y = 1 }\n",
            "a/Y.scala": "package com.x.y\nimport com.x.{X, Z => W}\nclass Y\n",
            "a/Z.scala": "package com.x\nimport y.Y\nimport scala.collection.mutable\nclass Z\n",
        },
        {"a/Y.scala": ["a/X.scala", "a/Z.scala"], "a/Z.scala": ["a/Y.scala"]},
    ),
    "c#": (
        "C#",
        {
            "Core/A.cs": "using System;\nnamespace Shop.Core { class A {} }\n",
            "Core/B.cs": "namespace Shop.Core;\nstruct B {}\n",
            "Web/C.cs": "using Shop.Core;\nusing static Shop.Util.Text;\nnamespace Shop.Web { class C {} }\n",
            "Util/T.cs": "namespace Shop.Util { static class Text {} }\n",
        },
        {"Web/C.cs": ["Core/A.cs", "Core/B.cs", "Util/T.cs"]},
    ),
    "php": (
        "PHP",
        {
            "src/A.php": "<?php\nnamespace Shop\\Model;\nclass A {}\n",
            "src/B.php": "<?php\nnamespace Shop;\nuse Shop\\Model\\{A, No};\nrequire_once 'inc/c.php';\nclass B {}\n",
            "src/inc/c.php": "<?php\nfunction c() {}\n",
        },
        {"src/B.php": ["src/A.php", "src/inc/c.php"]},
    ),
    "c": (
        "C",
        {
            "src/main.c": '#include <stdio.h>\n#include "util.h"\n#include <proj/api.h>\n#include "../lib/list.h"\n',
            "src/util.h": "",
            "include/proj/api.h": '#include "types.h"\n',
            "include/proj/types.h": "",
            "test/types.h": "",
            "lib/list.h": "",
        },
        {
            "src/main.c": ["include/proj/api.h", "lib/list.h", "src/util.h"],
            "include/proj/api.h": ["include/proj/types.h"],
        },
    ),
    "go": (
        "Go",
        {
            "cmd/main.go": 'package main\nimport (\n  "fmt"\n  "errors"\n  "example.com/shop/store"\n)\n',
            "store/a.go": 'package store\nimport . "example.com/shop/internal/db"\n',
            "store/b.go": "package store\n",
            "store/b_test.go": 'package store_test\nimport "example.com/shop/store"\n',
            "internal/db/db.go": "package db\n",
            "errors/x.go": "package errors\n",
        },
        {
            "cmd/main.go": ["errors/x.go", "store/a.go", "store/b.go"],
            "store/a.go": ["internal/db/db.go"],
            "store/b_test.go": ["store/a.go", "store/b.go"],
        },
    ),
    "ruby": (
        "Ruby",
        {
            "lib/shop.rb": "require 'json'\nrequire 'shop/cart'\nautoload :Item, 'shop/item'\n",
            "lib/shop/cart.rb": "require_relative 'item'\nrequire_relative '../version'\n",
            "lib/shop/item.rb": "",
            "lib/version.rb": "",
            "examples/x/json.rb": "",
            "test/cart_test.rb": "require 'shop'\n",
        },
        {
            "lib/shop.rb": ["lib/shop/cart.rb", "lib/shop/item.rb"],
            "lib/shop/cart.rb": ["lib/shop/item.rb", "lib/version.rb"],
            "test/cart_test.rb": ["lib/shop.rb"],
        },
    ),
    "rust": (
        "Rust",
        {
            "core/src/lib.rs": "mod net;\nuse net::x;\n",
            "core/src/net/mod.rs": "use self::tcp::Stream;\nuse crate::error::Error;\nuse std::io;\n",
            "core/src/net/tcp.rs": "use super::Conn;\nuse super::super::error;\nuse crate::Config;\n",
            "core/src/error.rs": "",
            "my-app/src/main.rs": "use core::net::{tcp::Stream, Conn};\nextern crate serde;\n",
        },
        {
            "core/src/net/mod.rs": ["core/src/error.rs", "core/src/net/tcp.rs"],
            "core/src/net/tcp.rs": ["core/src/error.rs", "core/src/lib.rs", "core/src/net/mod.rs"],
            "my-app/src/main.rs": ["core/src/net/mod.rs", "core/src/net/tcp.rs"],
        },
    ),
    "lua": (
        "Lua",
        {"main.lua": "local a = require('lib.a')\nrequire 'b'\n", "src/lib/a.lua": "", "src/b/init.lua": ""},
        {"main.lua": ["src/b/init.lua", "src/lib/a.lua"]},
    ),
    "shell": ("Shell", {"bin/run.sh": ". ./env.sh\nsource lib/all.sh\n", "bin/env.sh": "", "lib/all.sh": ""},
              {"bin/run.sh": ["bin/env.sh", "lib/all.sh"]}),
    "css": ("CSS", {"a/x.css": "@import url('y.css');\n", "a/y.css": ""}, {"a/x.css": ["a/y.css"]}),
    "no language that is read": ("Klingon", {"a": "x", "b": "y"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_imports_lead_to_the_files_that_they_mean(parse, name):
    language, repository, expected = CASES[name]
    assert edges_of(parse, language, repository) == expected


def test_of_files_that_fit_the_nearest_is_meant():
    files = Files(["a/inc/x.h", "b/inc/x.h", "b/src/m.c", "c/m.c"], [[]] * 4)
    assert resolve(files, 2, "C", "inc/x.h", []) == [1]
    assert resolve(files, 3, "C", "inc/x.h", []) == [1]


def test_a_file_never_leads_to_itself():
    files = Files(["a.py", "x.h"], [[], []])
    assert resolve(files, 0, "Python", "a", []) == []
    assert resolve(files, 1, "C", "x.h", []) == []


def test_hostile_modules_lead_nowhere():
    files = Files(["a.py", "b/c.rs", "b/d.go", "e.rb", "f.scala"], [[], [], [], [], ["x." * 5000 + "y"]])
    hostile = [
        "." * 5000,
        "/" * 5000,
        "a/" * 3000,
        "::".join("s" * 3000),
        "..",
        "\0",
        "*",
        "a\\b",
        ".".join("x" * 3000),
    ]
    for number, language in enumerate(("Python", "Rust", "Go", "Ruby", "Scala")):
        for module in hostile:
            for names in ([], ["*"], ["a", "b" * 5000], ["::".join("s" * 3000)]):
                assert resolve(files, number, language, module, names) == [], (language, module[:9])


def test_of_a_thousand_namesakes_no_more_are_looked_at(monkeypatch):
    monkeypatch.setattr(repository_imports, "_MAX_NAMESAKES", 2)
    files = Files([f"{n}/x.h" for n in range(5)], [[]] * 5)
    assert resolve(files, 4, "C", "x.h", []) == []
    assert resolve(files, 4, "C", "1/x.h", []) == [1]
