"""`tokenizer transplant`: a model's embedding matrices for another vocabulary, safetensors in, safetensors out."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from jobs.looking import print_json
from jobs.tokenizers.auxiliary import open_auxiliary
from jobs.tokenizers.report_command import open_vocabulary
from jobs.tokenizers.tensor_file import open_tensors, write_tensors
from jobs.tokenizers.transplant import TransplantConfig, new_rows, plan_transplant
from pipeline.errors import RecipeError


def transplant(
    *,
    from_vocabulary: str,
    to_vocabulary: str,
    embeddings: Path,
    tensor: Sequence[str],
    to: Path,
    auxiliary: str,
    local_weight: float,
    neighbours: int,
    temperature: float,
    as_json: bool,
) -> None:
    """`gristmill tokenizer transplant`. Raises RecipeError, SourceError and PublishError."""
    try:
        config = TransplantConfig(local_weight=local_weight, neighbours=neighbours, temperature=temperature)
    except ValueError as error:
        raise RecipeError(f"tokenizer transplant: {error}") from error
    source = open_tensors(embeddings)
    matrices = {name: source.matrix(name) for name in tensor}
    if not matrices:
        raise RecipeError(
            f"name the matrices with --tensor; {embeddings} has: {', '.join(sorted(source.tensors)[:20])}"
        )
    old, new = open_vocabulary(from_vocabulary), open_vocabulary(to_vocabulary)
    recipe = plan_transplant(old, new, config, open_auxiliary(auxiliary))
    shapes = {name: (len(recipe), matrix.raw.shape[1]) for name, matrix in matrices.items()}
    with write_tensors(to, source, shapes) as writer:
        for name in writer.names:
            if name not in matrices:
                writer.copy(name)
                continue
            for rows in new_rows(recipe, matrices[name]):
                writer.write(rows)
    copied, summed = int(recipe.copied.sum()), int((~recipe.copied & (np.diff(recipe.first) > 0)).sum())
    result = {
        "path": str(to),
        "rows": len(recipe),
        "copied": copied,
        "summed": summed,
        "mean": len(recipe) - copied - summed,
        "tensors": sorted(matrices),
    }
    if as_json:
        print_json(result)
        return
    where = f"{to}: {len(recipe):,} rows in {', '.join(sorted(matrices))}"
    click.echo(f"{where}: {copied:,} copied, {summed:,} from other tokens, {result['mean']:,} unused ids with the mean")
