"""`python -m tests.gold [LANGUAGE ...]`: precision and recall on the hand-labelled files; `--why` shows differences."""

import argparse

from rich.console import Console
from rich.table import Table

from tests.gold.score import LANGUAGES, Score, compare


def main() -> None:
    """Print one line per language and half."""
    parser = argparse.ArgumentParser(prog="python -m tests.gold", description=__doc__)
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=f"of {', '.join(LANGUAGES)}; all without one")
    parser.add_argument("--split", choices=["tuning", "held-out"], help="one half only")
    parser.add_argument("--why", action="store_true", help="what differs, file by file")
    args = parser.parse_args()
    console = Console(width=140)
    table = Table("language", "half", "files", "labels", "units P", "units R", "parts", "concepts P", "concepts R")
    for language in args.languages or LANGUAGES:
        files = list(compare(language))
        for split in [args.split] if args.split else ["tuning", "held-out", "both"]:
            chosen = [file for file in files if split in (file.split, "both")]
            if args.why and split != "both":
                for file in chosen:
                    for difference in file.differences:
                        console.print(
                            f"{language} {file.id}: {difference}", markup=False, highlight=False, soft_wrap=True
                        )
            units, concepts, parts = (
                sum((getattr(file, name) for file in chosen), Score()) for name in ("units", "concepts", "parts")
            )
            labels = units.hits + units.missed + concepts.hits + concepts.missed
            figures = (units.precision, units.recall, parts.recall, concepts.precision, concepts.recall)
            table.add_row(language, split, str(len(chosen)), str(labels), *(f"{figure:.3f}" for figure in figures))
    console.print(table)


if __name__ == "__main__":
    main()
