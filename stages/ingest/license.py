"""Finds the licence of each document as an SPDX expression.

Reads license, license_from and text; writes license and license_from. An `SPDX-License-Identifier:` header at the start
of the document beats what the source says. A licence that is not an SPDX expression or a common name becomes null.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate

import licenseclassifier
import pyarrow as pa
import pyarrow.compute as pc
from license_expression import ExpressionError, ExpressionParseError, Licensing, get_spdx_licensing

from pipeline.stage import Stage, Transform
from schemas.documents import DOCUMENT
from stages.ingest.distinct import Column, map_distinct

READS = pa.schema([DOCUMENT.field(name) for name in ("license", "license_from", "text")])
WRITES = pa.schema([DOCUMENT.field(name) for name in ("license", "license_from")])

_HEADER_BYTES = 4_096
_LICENSE_TEXT_CHARS = 200_000
_MAX_EXPRESSION_CHARS = 500

_HEADER = r"SPDX-License-Identifier:[ \t]*(?P<expression>[A-Za-z0-9(][-A-Za-z0-9.+() \t]{0,499})"

_EMPTY_GROUP = re.compile(r"\( *(?:\)|(?:and|or|with)\b)", re.IGNORECASE)

_COMMON_NAMES = {
    "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache license version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0", "the apache software license, version 2.0": "Apache-2.0",
    "mit license": "MIT", "the mit license": "MIT", "the mit license (mit)": "MIT", "expat": "MIT",
    "bsd-2": "BSD-2-Clause", "bsd 2-clause": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause", "bsd-3": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause", "new bsd license": "BSD-3-Clause", "modified bsd license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "bsd 3-clause license": "BSD-3-Clause",
    "2-clause bsd license": "BSD-2-Clause", "isc license": "ISC", "isc license (iscl)": "ISC",
    "mpl 2.0": "MPL-2.0", "mozilla public license 2.0": "MPL-2.0", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "gplv2": "GPL-2.0-only", "gplv3": "GPL-3.0-only", "gplv2+": "GPL-2.0-or-later", "gplv3+": "GPL-3.0-or-later",
    "lgplv2.1": "LGPL-2.1-only", "lgplv3": "LGPL-3.0-only", "lgplv3+": "LGPL-3.0-or-later", "agplv3": "AGPL-3.0-only",
    "gnu gplv3": "GPL-3.0-only", "psf": "PSF-2.0", "psf license": "PSF-2.0", "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0", "the unlicense": "Unlicense",
    "the unlicense (unlicense)": "Unlicense",
    "cc0": "CC0-1.0", "cc0 1.0": "CC0-1.0", "boost": "BSL-1.0", "boost software license 1.0": "BSL-1.0",
    "zlib license": "Zlib", "zpl 2.1": "ZPL-2.1", "public domain": "LicenseRef-scancode-public-domain",
    "epl 2.0": "EPL-2.0", "eclipse public license 2.0": "EPL-2.0",
}  # fmt: skip
"""Free-form names that mean one licence. `BSD` and `GPL` alone, and bare `Apache`, mean several and are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseConfig:
    """Nothing to set: the rules are fixed."""


def identify_license(text: str) -> str | None:
    """SPDX expression of a licence text such as a LICENSE file; all licences found are joined by AND.

    None unless three quarters of the text are licence texts: the mention of a licence is not a licence.
    """
    found = {match.id for match in licenseclassifier.identify_license(text[:_LICENSE_TEXT_CHARS])}
    return normalize_license(" AND ".join(sorted(found))) if found else None


@lru_cache(maxsize=65_536)
def normalize_license(value: str) -> str | None:
    """A licence as an SPDX expression with the ids of the SPDX list, or None if it is not one.

    Understands SPDX expressions in any case, ids that SPDX has renamed, `LicenseRef-...` and names like `MIT License`.
    """
    value = " ".join(value.split()).rstrip("- .")
    if len(value) > _MAX_EXPRESSION_CHARS:
        return None
    named = _COMMON_NAMES.get(value.lower())
    if named:
        return named
    expression = value.replace("/", " OR ")
    if not _is_balanced(expression):
        return None
    try:
        parsed = _licensing().parse(expression, strict=True)
    except (ExpressionError, ExpressionParseError):
        return None
    if parsed is None or any(not _is_spdx(key) for key in _licensing().license_keys(parsed)):
        return None
    return str(parsed.render("{symbol.key}"))


def _is_balanced(expression: str) -> bool:
    """Whether this may be given to license-expression, which fails on empty or unbalanced parentheses."""
    if not re.fullmatch(r"[-A-Za-z0-9.+() ]+", expression) or _EMPTY_GROUP.search(expression):
        return False
    depths = list(accumulate((char == "(") - (char == ")") for char in expression))
    return min(depths) >= 0 and depths[-1] == 0


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


def _is_spdx(key: str) -> bool:
    known = key in _licensing().known_symbols
    return known or key.startswith("LicenseRef-")


def _open(_: LicenseConfig) -> Transform:
    return _find_licenses


def _find_licenses(table: pa.Table) -> pa.Table:
    batches = [_find_in_batch(batch) for batch in table.to_batches()]
    return pa.Table.from_batches(batches, schema=WRITES)


def _find_in_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    header = map_distinct(_headers(batch["text"]), normalize_license)
    source = map_distinct(batch["license"], normalize_license)
    stated = pc.if_else(source.is_valid(), batch["license_from"], pa.scalar(None, pa.string()))
    license_from = pc.if_else(header.is_valid(), pa.scalar("header"), stated)
    return pa.RecordBatch.from_arrays([pc.coalesce(header, source), license_from], schema=WRITES)


def _headers(text: Column) -> Column:
    """The expression of the first SPDX header, as written."""
    start = pc.binary_slice(text.cast(pa.binary()), 0, _HEADER_BYTES)
    return pc.struct_field(pc.extract_regex(start, pattern=_HEADER), "expression").cast(pa.string())


STAGE: Stage[LicenseConfig] = Stage(
    name="license",
    version=1,
    reads=READS,
    writes=WRITES,
    open=_open,
    libraries=("license-expression", "licenseclassifier"),
)
