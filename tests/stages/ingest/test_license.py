from importlib.metadata import distributions

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stage import configured
from stages.ingest.license import READS, STAGE, LicenseConfig, identify_license, normalize_license
from tests.contract import check_stage
from tests.golden import digest

CASES: list[tuple[str | None, str | None, str | None, str | None, str | None]] = [
    # license, license_from, text, expected license, expected license_from
    ("MIT", "metadata", "x = 1", "MIT", "metadata"),
    ("mit", "column", None, "MIT", "column"),
    (None, None, "// SPDX-License-Identifier: Apache-2.0\n", "Apache-2.0", "header"),
    ("MIT", "metadata", "/* SPDX-License-Identifier: GPL-2.0+ */", "GPL-2.0-or-later", "header"),
    ("MIT", "metadata", "<!-- SPDX-License-Identifier: BSD-3-Clause -->", "BSD-3-Clause", "header"),
    ("MIT", "metadata", "# SPDX-License-Identifier: (MIT OR Apache-2.0)\r\n", "MIT OR Apache-2.0", "header"),
    ("MIT", "file", "# SPDX-License-Identifier: My Own Rules\n", "MIT", "file"),
    ("MIT", "file", "x" * 4_096 + "SPDX-License-Identifier: ISC", "MIT", "file"),
    ("see LICENSE", "metadata", "x", None, None),
    (None, None, "x", None, None),
    (None, None, None, None, None),
    ("MIT", "metadata", "é" * 2_047 + "# SPDX-License-Identifier: ISC", "MIT", "metadata"),
]


def rows() -> pa.Table:
    names = ("license", "license_from", "text")
    return pa.table({name: [case[index] for case in CASES] for index, name in enumerate(names)}, schema=READS)


def test_license_keeps_the_laws() -> None:
    out = check_stage(configured(STAGE, LicenseConfig()), rows())
    assert digest(out) == "4f33df6fd0b991fdd00fb60da9056fd79e3e990bec138b3c30a22048d695183f"


def test_license_header_beats_the_source() -> None:
    out = configured(STAGE, LicenseConfig()).open()(rows())
    found = list(zip(out["license"].to_pylist(), out["license_from"].to_pylist(), strict=True))
    assert found == [case[3:] for case in CASES]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("MIT License", "MIT"),
        ("  apache-2.0 ", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("Apache-2.0 AND (MIT OR BSD-3-Clause)", "Apache-2.0 AND (MIT OR BSD-3-Clause)"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("LicenseRef-My-Own", "LicenseRef-My-Own"),
        ("BSD", None),
        ("UNLICENSED", None),
        ("SEE LICENSE IN file", None),
        ("MIT AND", None),
        ("MIT)", None),
        ("(MIT", None),
        ("MIT WITH MIT", None),
        ("", None),
        ("()", None),
        ("\0\n", None),
        ("MIT OR " * 100 + "MIT", None),
        ("Apache-2.0\nAND MIT", "Apache-2.0 AND MIT"),
    ],
)
def test_normalize_license_known_values(value: str, expected: str | None) -> None:
    assert normalize_license(value) == expected


TOKENS = [
    "MIT",
    "(",
    ")",
    "()",
    "AND",
    "OR",
    "WITH",
    "with",
    "Classpath-exception-2.0",
    "LicenseRef-x",
    "foo",
    "+",
    "é",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=8))
def test_normalize_license_of_any_expression_is_final(tokens: list[str]) -> None:
    found = normalize_license(" ".join(tokens))
    assert found is None or normalize_license(found) == found


@pytest.mark.parametrize("text", ["", "MIT", "This is under the MIT licence.", "x" * 1_000_000, "(c) " * 10_000])
def test_identify_license_mentions_and_noise_are_no_licence(text: str) -> None:
    assert identify_license(text) is None


def test_identify_license_agrees_with_the_metadata_of_installed_packages() -> None:
    agreed, differing = 0, []
    for distribution in distributions():
        stated = normalize_license(distribution.metadata.get("License-Expression") or "")
        texts = [file for file in distribution.files or [] if file.match("*.dist-info/licenses/LICENSE*")]
        if stated is None or " " in stated or len(texts) != 1:
            continue
        found = identify_license(texts[0].read_text(encoding="utf-8"))
        agreed += found is not None and stated in found.split(" AND ")
        differing += [] if found is not None and stated in found else [(distribution.metadata["Name"], stated, found)]
    assert agreed >= 10
    assert len(differing) * 10 <= agreed, differing
