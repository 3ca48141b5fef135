"""The dataset card of a published version: front matter for `datasets`, tables for people."""

import json
from collections.abc import Iterable, Mapping

from schemas.manifest import Manifest, Mixture


def render(manifest: Manifest) -> str:
    """The README of a version. Its front matter declares every config, so that nothing is left to inference."""
    domains = {file.path.split("/")[1] for file in manifest.files}
    return "\n".join(
        ["---", f"pretty_name: {json.dumps(manifest.name)}", *configs(domains), "---", "", *_body(manifest), ""]
    )


def configs(domains: Iterable[str]) -> list[str]:
    """Lines of YAML: a config `default` of all files below `data/`, and one for each domain.

    Quoted, because `no` and `123` are no text in YAML. A domain called `default` has the config `domain-default`.
    """
    lines = ["configs:", "- config_name: default", "  data_files:", "  - split: train", "    path: data/*/*.parquet"]
    for domain in sorted(domains):
        name = "domain-default" if domain == "default" else domain
        lines += [f"- config_name: {json.dumps(name)}", "  data_files:"]
        lines += ["  - split: train", f"    path: {json.dumps(f'data/{domain}/*.parquet')}"]
    return lines


def human_bytes(count: float) -> str:
    """`1.5 GB`, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def _body(manifest: Manifest) -> list[str]:
    return [
        f"# {manifest.name}",
        "",
        f"{manifest.documents:,} documents, {manifest.tokens:,} tokens of `{manifest.vocabulary}`; token "
        f"{manifest.end_of_document} ends a document. Made by the recipe `{manifest.recipe}`; `manifest.json` holds "
        "the digest of every file and the steps, settings and library versions behind it.",
        "",
        "```python",
        "from datasets import load_dataset",
        'rows = load_dataset("PATH_OF_THIS_FOLDER", split="train", streaming=True)  # or name="DOMAIN"',
        "```",
        "",
        "Each row is a document, in shuffled order: `document_id` (16 bytes), `tokens` (list<int32>), `num_tokens`, "
        "`group` (documents of one number stand together: the files of a repository).",
        "",
        *_sequences(manifest),
        *_table("Tokens by domain", ("domain", "tokens"), manifest.domains),
        *_mixture(manifest.mixture),
        *_table("Kept documents by language", ("language", "documents"), manifest.languages),
        *_table("Kept documents by licence", ("licence (SPDX)", "documents"), manifest.licenses),
        "## From source to corpus",
        "",
        "| step | documents in | out | bytes in | out | reasons |",
        "|---|--:|--:|--:|--:|---|",
        *(
            f"| {e.step} | {e.rows_in:,} | {e.rows_out:,} | {human_bytes(e.bytes_in)} | {human_bytes(e.bytes_out)} | "
            f"{', '.join(f'{_cell(r)} {n:,}' for r, n in e.reasons.items())} |"
            for e in manifest.funnel
        ),
        "",
        f"## Sources ({len(manifest.sources):,} largest)",
        "",
        "| origin | revision | documents | bytes |",
        "|---|---|--:|--:|",
        *(
            f"| {_cell(s.origin)} | {_cell(s.revision)} | {s.documents:,} | {human_bytes(s.bytes)} |"
            for s in manifest.sources
        ),
    ]


def _sequences(manifest: Manifest) -> list[str]:
    if not manifest.packings:
        return []
    return [
        "## Training sequences",
        "",
        "A packing is an index over the documents; tokens are stored once. With gristmill installed:",
        "",
        "```python",
        "from jobs.packing.sequences import open_version",
        f'for table in open_version("PATH_OF_THIS_FOLDER").sequences("{manifest.packings[0].name}"):',
        "    table  # tokens, document_id, document_start, document_offset, cu_seqlens, loss_mask",
        "```",
        "",
        "Without it: row i of `packings/NAME/DOMAIN/part-N.parquet` is a sequence; it is made of `length` tokens from "
        "token `start` of row `document` of `data/DOMAIN/part-N.parquet`, piece by piece, then padding.",
        "",
        "| packing | method | tokens each | sequences | full |",
        "|---|---|--:|--:|--:|",
        *(
            f"| {p.name} | {p.method} | {p.sequence_length or 'a document'} | {p.sequences:,} | {p.utilisation:.2%} |"
            for p in manifest.packings
        ),
        "",
    ]


def _mixture(mixture: Mixture | None) -> list[str]:
    if mixture is None:
        return []
    return [
        f"## Mixture of {mixture.source}",
        "",
        f"Documents of all domains in one order; {mixture.tokens:,} tokens were asked for, of no domain more than "
        f"{mixture.max_epochs:g} times its text.",
        "",
        "| domain | weight | planned | realised | epochs | documents | copies |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {_cell(d.domain)} | {d.weight:.4f} | {d.planned:,} | {d.realised:,} | {d.epochs:.3f} | "
            f"{d.documents:,} | {d.copies:,} |"
            for d in mixture.domains
        ),
        "",
    ]


def _table(title: str, head: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    rows = [f"| {_cell(name)} | {count:,} |" for name, count in counts.items()]
    return [f"## {title}", "", f"| {' | '.join(head)} |", "|---|--:|", *rows, ""]


def _cell(text: str) -> str:
    """Text from a corpus, harmless inside a Markdown table."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("|", "\\|").replace("<", "&lt;")[:200]
