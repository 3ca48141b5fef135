import pytest

from stages.ingest.patterns import Patterns

MATCHES = [
    ("*.py", "setup.py", True),
    ("*.py", "src/deep/a.py", True),
    ("*.py", "a.pyc", False),
    ("/*.py", "setup.py", True),
    ("/*.py", "src/a.py", False),
    ("src/*.py", "src/a.py", True),
    ("src/*.py", "src/deep/a.py", False),
    ("src/*.py", "other/src/a.py", False),
    ("src/**/*.py", "src/a.py", True),
    ("src/**/*.py", "src/x/y/a.py", True),
    ("src/**/*.py", "srcs/a.py", False),
    ("**/test/*.c", "test/a.c", True),
    ("**/test/*.c", "a/b/test/a.c", True),
    ("docs/", "docs/a/b.md", True),
    ("docs/", "src/docs.md", False),
    ("docs/**", "docs/a.md", True),
    ("**", "anything/at/all", True),
    ("a?c", "abc", True),
    ("a?c", "a/c", False),
    ("[a-c].txt", "b.txt", True),
    ("[a-c].txt", "d.txt", False),
    ("[!a-c].txt", "d.txt", True),
    ("x[!a]y", "x/y", False),
    ("[]].txt", "].txt", True),
    ("[.txt", "[.txt", True),
    ("a+(b).txt", "a+(b).txt", True),
    ("a+(b).txt", "aab.txt", False),
    ("*.py", "new\nline.py", True),
]


@pytest.mark.parametrize(("pattern", "path", "wanted"), MATCHES)
def test_include_pattern_matches_path(pattern: str, path: str, wanted: bool) -> None:
    assert Patterns(include=(pattern,)).keeps(path) is wanted


def test_without_patterns_everything_is_wanted() -> None:
    assert Patterns().wants("a/b")
    assert not Patterns().prunes("a")


def test_exclude_beats_include_and_prunes_folders() -> None:
    patterns = Patterns(include=("*.py",), exclude=("node_modules", "build/out"))
    assert patterns.prunes("web/node_modules")
    assert patterns.prunes("build/out")
    assert not patterns.prunes("web/build/out")
    assert not patterns.wants("web/node_modules/x/a.py")
    assert patterns.wants("web/a.py")


@pytest.mark.parametrize("pattern", ["", "/", "[z-a]"])
def test_what_is_no_pattern_is_named(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a glob pattern"):
        Patterns(exclude=(pattern,))
