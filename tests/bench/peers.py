"""Other systems on the same operators, timed by the peer benchmarks beside the repository.

Needs their environments: `PEER_VENVS` names the folder that `setup.sh` of the peer benchmarks has filled.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.material import CORPUS, ROOT
from tests.bench.report import Figure

PEERS = ROOT.parent / "shared" / "peers"
_MEASURED_MB = {
    "gigatoken": 400.0,
    "tiktoken": 20.0,
    "datatrove": 5.0,
    "daft": 400.0,
    "sha256-set": 400.0,
    "recursive-json": 5.0,
    "tree-sitter": 20.0,
}
"""As much of the corpus as a peer does in seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """One peer on one operator."""

    operator: str
    name: str
    what: str
    """What is timed, for the table."""


TOKENIZE = (
    Peer(operator="tokenize", name="datatrove", what="Parquet to token shards"),
    Peer(operator="tokenize", name="gigatoken", what="raw encoding, texts in memory"),
    Peer(operator="tokenize", name="tiktoken", what="raw encoding, texts in memory"),
)
PARSE = (
    Peer(operator="parse", name="recursive-json", what="parsing, recursive walk, json.dumps: how MLCPD converts"),
    Peer(operator="parse", name="tree-sitter", what="parsing alone: the limit"),
)
DUPLICATES = (
    Peer(operator="exact_dedup", name="daft", what="distinct, texts in memory"),
    Peer(operator="exact_dedup", name="sha256-set", what="hash and set, texts in memory"),
)


def why_skipped() -> str | None:
    """What keeps the peers from running, or None."""
    if not PEERS.is_dir():
        return "peers: no peer benchmarks beside the repository"
    if not CORPUS.is_dir():
        return "peers: no code corpus beside the repository"
    if not os.environ.get("PEER_VENVS"):
        return "peers: PEER_VENVS is not set"
    return None


def is_installed(peer: Peer) -> bool:
    """Whether the peer's environment is there."""
    shared = {"gigatoken": "tokenize", "tiktoken": "tokenize", "recursive-json": "parse", "tree-sitter": "parse"}
    folder = shared.get(peer.name, peer.name)
    return peer.name == "sha256-set" or (Path(os.environ["PEER_VENVS"]) / folder / "bin" / "python").is_file()


def time_peer(bench: str, peer: Peer, repeat: int, *, quick: bool) -> Figure:
    """MB of content per CPU-second of one peer."""
    limit = min(_MEASURED_MB[peer.name], 5.0) if quick else _MEASURED_MB[peer.name]
    command = [sys.executable, str(PEERS / "run.py"), peer.operator, "--peer", peer.name, "--input", str(CORPUS)]
    options = ["--repeat", str(repeat), "--limit-mb", f"{limit:g}", "--max-doc-bytes", "10000000"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"peer {peer.name} failed; its output ends:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout)
    mb = result["bytes"] / 1e6
    return Figure(
        bench=bench,
        name=f"peer {peer.name} {result['version']}",
        unit="MB/CPU-s",
        better="more",
        runs=tuple(mb / cpu_s for cpu_s in result["cpu_s_all"]),
        note=f"{peer.what}; {mb:.0f} MB",
    )
