"""`python -m tests.bench [BENCH ...]`: measures the project against its bars and against peers.

Benches: chain (engine overhead, memory), scaling, ingest, tokens, duplicates, syntax, exactness, encoding (bound,
memory), views, training, packing, clusters, mixtures, proxies, tiny. The exit code is 0 whether bars are met or
missed; it is 1 when something that is measured fails.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.bench.benches import BENCHES, FULL, QUICK, Bench
from tests.bench.report import document, print_table, write_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benches that are asked for, print the table, write the JSON document."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}; all without one")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that the benches work, no figures")
    parser.add_argument("--repeat", type=int, default=3, help="runs of which the median counts (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as one JSON document")
    parser.add_argument("--scratch", type=Path, help="folder for stores, kept; a temporary one without it (about 2 GB)")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.benches if name not in BENCHES]:
        parser.error(f"no bench {unknown[0]!r}; known: {', '.join(BENCHES)}")
    if args.repeat < 1:
        parser.error(f"--repeat must be at least 1, got {args.repeat}")
    scratch = args.scratch or Path(tempfile.mkdtemp(prefix="gristmill-bench-"))
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        _run(args.benches or list(BENCHES), scratch.absolute(), args)
    finally:
        if args.scratch is None:
            shutil.rmtree(scratch)


def _run(names: Sequence[str], scratch: Path, args: argparse.Namespace) -> None:
    skipped: list[str] = []
    bench = Bench(store=scratch, sizes=QUICK if args.quick else FULL, repeat=args.repeat, skipped=skipped)
    errors, figures = Console(stderr=True), []
    for name in names:
        errors.print(f"bench {name}", highlight=False)
        for figure in BENCHES[name](bench):
            figures.append(figure)
            errors.print(f"  {figure.name}: {figure.value:.4g} {figure.unit} {figure.verdict}", highlight=False)
    reasons = list(dict.fromkeys(skipped))
    print_table(figures, reasons, Console(width=None if Console().is_terminal else 200))
    if args.json:
        write_json(args.json, document(figures, reasons, quick=args.quick, repeat=args.repeat))


if __name__ == "__main__":
    main()
