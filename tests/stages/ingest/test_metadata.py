import pytest
from license_expression import get_spdx_licensing

from stages.ingest import metadata
from stages.ingest.metadata import distribution_license, npm_license, parse_metadata

OSI = "Classifier: License :: OSI Approved :: "

DISTRIBUTIONS = [
    ("License-Expression: MIT OR apache-2.0\nLicense: GPL-3.0-only", "MIT OR Apache-2.0"),
    ("License: BSD-3-Clause\n" + OSI + "MIT License", "BSD-3-Clause"),
    ("License: Dual License\n" + OSI + "MIT License", "MIT"),
    (OSI + "MIT License\n" + OSI + "Apache Software License", "Apache-2.0 AND MIT"),
    ("Classifier: License :: OSI Approved\n" + OSI + "MIT License", "MIT"),
    (OSI + "BSD License", None),
    (OSI + "BSD License\n" + OSI + "MIT License", None),
    (OSI + "GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("Classifier: License :: Other/Proprietary License", None),
    ("Classifier: Programming Language :: Python", None),
    ("License: UNKNOWN", None),
    ("License-Expression: " + "(" * 400, None),
    ("", None),
]


@pytest.mark.parametrize(("headers", "license_"), DISTRIBUTIONS)
def test_license_of_a_distribution(headers: str, license_: str | None) -> None:
    assert distribution_license(parse_metadata(f"Name: x\n{headers}\n\nbody\n".encode())) == license_


def test_metadata_that_is_not_utf8_is_still_read() -> None:
    found = parse_metadata(b"Name: x\nAuthor: Jos\xe9\nLicense: MIT\n\n\xff\xfe")
    assert distribution_license(found) == "MIT"


def test_every_classifier_stands_for_an_spdx_license() -> None:
    known = get_spdx_licensing().known_symbols
    assert [license_ for license_ in metadata._CLASSIFIERS.values() if license_ not in known] == []


NPM_PACKAGES = [
    ({"license": "MIT"}, "MIT"),
    ({"license": "(MIT OR Apache-2.0)"}, "MIT OR Apache-2.0"),
    ({"license": {"type": "ISC", "url": "x"}}, "ISC"),
    ({"licenses": [{"type": "MIT"}, {"type": "Apache-2.0"}]}, "Apache-2.0 OR MIT"),
    ({"licenses": [{"type": "MIT"}, {"type": "MIT"}]}, "MIT"),
    ({"licenses": [{"type": "MIT"}, {"type": "my own"}]}, None),
    ({"license": "SEE LICENSE IN LICENSE.txt"}, None),
    ({"license": "UNLICENSED"}, None),
    ({"license": 7}, None),
    ({"license": [None]}, None),
    ({"license": {"type": ["MIT"]}}, None),
    ({}, None),
]


@pytest.mark.parametrize(("package", "license_"), NPM_PACKAGES)
def test_license_of_an_npm_package(package: dict[str, object], license_: str | None) -> None:
    assert npm_license(package) == license_
