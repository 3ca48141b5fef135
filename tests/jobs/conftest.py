"""One published corpus for all tests that only look at it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.manifest import Manifest
from tests.jobs.invoke import run_tiny

SEQUENCE_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Published:
    """A version, its store and the folder it was made from."""

    store: Path
    source: Path
    manifest: Manifest


def write_mixed(folder: Path) -> Path:
    """A folder with documents of several languages and one of every fate."""
    for number in range(30):
        write(folder / f"code/m{number:02d}.py", f"def f{number}(x):\n    return x * {number}\n\n" * (number + 1))
    for number in range(8):
        write(folder / f"docs/page{number}.md", f"# Page {number}\n\n" + f"Grist {number} for the mill.\n" * 5 * number)
    write(folder / "docs/special.md", "A text may say <|endoftext|> and <|fim_prefix|> without being one.\n")
    write(folder / "docs/unicode.md", "naïve Straße — 東京タワー 🎉\r\nزبان\n")
    write(folder / "app/[id].tsx", "export default function Page() { return 1 }\n")
    write(folder / "same/first.py", "print('the same')\n")
    write(folder / "same/second.py", "print('the same')\n")
    write(folder / "empty.py", "")
    write(folder / "wide.py", "x = '" + "y" * 20_000 + "'\n")
    write(folder / "large.txt", "a line of a large file\n" * 5_000)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    (folder / "broken.py").symlink_to("nowhere")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """`tiny@1` over a mixed folder, several shards."""
    store = tmp_path_factory.mktemp("store")
    source = write_mixed(tmp_path_factory.mktemp("input") / "mixed")
    line = f"{source}?max_document_bytes=50000&shard_bytes=20000"
    return Published(store, source, run_tiny(store, line, sequence_length=SEQUENCE_LENGTH))
