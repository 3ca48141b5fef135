"""What a package's own metadata says its licence is, as an SPDX expression.

Reads the core metadata of Python distributions and the `package.json` of npm packages. Writes nothing.
"""

from collections.abc import Mapping
from email.message import Message
from email.parser import HeaderParser

from stages.ingest.license import identify_license, normalize_license

MAX_METADATA_BYTES = 4_000_000
"""Bytes of a metadata file that are looked at."""

_OSI = "License :: OSI Approved :: "

_CLASSIFIERS = {
    "License :: CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "License :: CeCILL-B Free Software License Agreement (CECILL-B)": "CECILL-B",
    "License :: CeCILL-C Free Software License Agreement (CECILL-C)": "CECILL-C",
    _OSI + "Apache Software License": "Apache-2.0",
    _OSI + "Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    _OSI + "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    _OSI + "CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)": "CECILL-2.1",
    _OSI + "CMU License (MIT-CMU)": "MIT-CMU",
    _OSI + "Common Development and Distribution License 1.0 (CDDL-1.0)": "CDDL-1.0",
    _OSI + "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    _OSI + "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    _OSI + "Educational Community License, Version 2.0 (ECL-2.0)": "ECL-2.0",
    _OSI + "European Union Public Licence 1.0 (EUPL 1.0)": "EUPL-1.0",
    _OSI + "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    _OSI + "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    _OSI + "GNU Affero General Public License v3": "AGPL-3.0-only",
    _OSI + "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    _OSI + "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    _OSI + "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    _OSI + "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    _OSI + "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    _OSI + "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    _OSI + "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    _OSI + "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    _OSI + "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    _OSI + "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    _OSI + "ISC License (ISCL)": "ISC",
    _OSI + "MIT License": "MIT",
    _OSI + "MIT No Attribution License (MIT-0)": "MIT-0",
    _OSI + "MirOS License (MirOS)": "MirOS",
    _OSI + "Mozilla Public License 1.0 (MPL)": "MPL-1.0",
    _OSI + "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    _OSI + "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    _OSI + "Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
    _OSI + "NASA Open Source Agreement v1.3 (NASA-1.3)": "NASA-1.3",
    _OSI + "Open Software License 3.0 (OSL-3.0)": "OSL-3.0",
    _OSI + "PostgreSQL License": "PostgreSQL",
    _OSI + "Python License (CNRI Python License)": "CNRI-Python",
    _OSI + "Python Software Foundation License": "PSF-2.0",
    _OSI + "SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
    _OSI + "Sleepycat License": "Sleepycat",
    _OSI + "The Unlicense (Unlicense)": "Unlicense",
    _OSI + "Universal Permissive License (UPL)": "UPL-1.0",
    _OSI + "University of Illinois/NCSA Open Source License": "NCSA",
    _OSI + "Vovida Software License 1.0": "VSL-1.0",
    _OSI + "Zero-Clause BSD (0BSD)": "0BSD",
    _OSI + "zlib/libpng License": "Zlib",
}
"""Trove classifiers that name one licence; families without a version (`BSD License`) are left out on purpose."""

_GROUPS = frozenset({"License :: OSI Approved", "License :: DFSG approved"})


def parse_metadata(raw: bytes) -> Message:
    """The headers of `METADATA` or `PKG-INFO`; bytes that are not UTF-8 are replaced."""
    return HeaderParser().parsestr(raw[:MAX_METADATA_BYTES].decode("utf-8", "replace"))


def distribution_license(metadata: Message) -> str | None:
    """SPDX expression of a Python distribution: `License-Expression`, else `License`, else its classifiers.

    `License` counts if it is an SPDX expression, a common name or a licence text. Several classifiers are joined by
    AND, the reading that promises least; one that names no single licence makes the answer None.
    """
    for field in ("License-Expression", "License"):
        value = str(metadata[field] or "")
        found = normalize_license(value) or (identify_license(value) if "\n" in value else None)
        if found:
            return found
    classifiers = {str(value).strip() for value in metadata.get_all("Classifier", [])}
    licenses = {value for value in classifiers if value.startswith("License ::")} - _GROUPS
    named = {_CLASSIFIERS.get(value, "") for value in licenses}
    if not named or "" in named:
        return None
    return " AND ".join(sorted(named))


def npm_license(package: Mapping[str, object]) -> str | None:
    """SPDX expression of a `package.json`: `license` as text or `{"type": ...}`, else any of the old `licenses`."""
    declared = package.get("license") or package.get("licenses")
    choices = declared if isinstance(declared, list) else [declared]
    names = [choice.get("type") if isinstance(choice, dict) else choice for choice in choices]
    found = [normalize_license(name) if isinstance(name, str) else None for name in names]
    licenses = sorted({name for name in found if name})
    if len(licenses) == 1 or not all(found):
        return licenses[0] if all(found) else None
    return normalize_license(" OR ".join(f"({name})" for name in licenses))
