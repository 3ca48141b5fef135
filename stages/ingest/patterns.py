"""Glob patterns that choose files, by their path inside a source.

Reads nothing and writes nothing: `Patterns.keeps` and `Patterns.prunes` answer for one path at a time.
"""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\*+|\?|\[(?P<negated>!?)(?P<chars>\]?[^\]/]*)\]|.", re.DOTALL)
_NOTHING = re.compile(r"(?!)")

GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Which files of a source are wanted.

    A pattern without a slash matches a name at any depth (`*.py`); one with a slash matches the whole path from the
    root of the source (`src/*.py`, `/setup.py`). `*`, `?` and `[a-z]`, `[!a-z]` stay within a name, `**` spans folders.
    A trailing slash means everything in the folder (`docs/`).

    include: files wanted; empty means all.
    exclude: files and folders not wanted; what is excluded leaves no row.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    _included: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _excluded: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        included = tuple(f"{pattern}**" if pattern.endswith("/") else pattern for pattern in self.include)
        object.__setattr__(self, "_included", _compile(included) if included else re.compile(""))
        object.__setattr__(self, "_excluded", _compile(self.exclude))

    def keeps(self, path: str) -> bool:
        """Whether the file is wanted, given that none of its folders is pruned."""
        return self._excluded.match(path) is None and self._included.match(path) is not None

    def prunes(self, folder: str) -> bool:
        """Whether the folder and everything in it is excluded."""
        return self._excluded.match(folder) is not None

    def wants(self, path: str) -> bool:
        """Whether the file is wanted, where its folders were not walked."""
        folders = (path[:end] for end, character in enumerate(path) if character == "/")
        return self.keeps(path) and not any(map(self.prunes, folders))


def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_translate(pattern)})" for pattern in patterns)) if patterns else _NOTHING


def _translate(pattern: str) -> str:
    """One pattern as a regular expression over a `/`-separated path."""
    *folders, name = pattern.strip("/").split("/")
    anchored = "/" in pattern.rstrip("/")
    expression = "" if anchored else "(?:.*/)?"
    for folder in folders:
        expression += "(?:.*/)?" if folder == "**" else _component(folder) + "/"
    expression = f"(?s:{expression}{'.*' if name == '**' else _component(name)})\\Z"
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a glob pattern: {error}; write a range as [a-z]") from error
    if not name:
        raise ValueError(f"{pattern!r} is not a glob pattern: it names nothing; write `**` for everything")
    return expression


def _component(text: str) -> str:
    return _TOKEN.sub(_token, text)


def _token(match: re.Match[str]) -> str:
    text, chars = match[0], match["chars"]
    if text.startswith("*"):
        return "[^/]*"
    if text == "?":
        return "[^/]"
    if not chars:
        return re.escape(text)
    return ("[^/" if match["negated"] else "[") + re.sub(r"([\\\[\]^&~|])", r"\\\1", chars) + "]"
