"""Counts over a corpus and the command that trains: exact, sampled by document, resumable, clear about bad values."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from jobs.tokenizers import pretoken_counts as counting
from jobs.tokenizers.pretoken_counts import PretokenConfig, merge_counts
from jobs.tokenizers.training import TokenizerConfig
from jobs.tokenizers.training_command import train_tokenizer
from pipeline.errors import NotFoundError, PlanError, PublishError, RecipeError, ShardsFailedError, SourceError
from pipeline.exchange import Place
from schemas.documents import ID
from schemas.pretokens import PRETOKENS
from stages.tokenization.vocabulary import load_vocabulary
from tests.golden import digest
from tests.jobs.conftest import Published, write
from tests.stages.tokenization.test_scanner import cut

TEXTS = [f"def grind{n}(grist):\n    return grist * {n}  # naïve\n" * (n % 5 + 1) for n in range(40)]
WORDS = tuple(f"w{letter}{other}" for letter in "abcde" for other in "abcdefghi")
LANGUAGES = ["Python", "Ruby", None, "Go"]


def document_id(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(4, "big"), digest_size=16).digest()


def documents(texts: list[str | None]) -> pa.Table:
    languages = [LANGUAGES[number % 4] for number in range(len(texts))]
    sizes = [len((text or "").encode()) for text in texts]
    return pa.table(
        {
            "document_id": pa.array([document_id(number) for number in range(len(texts))], ID),
            "language": pa.array(languages, pa.string()),
            "text": pa.array(texts, pa.string()),
            "size": pa.array(sizes, pa.int64()),
        }
    )


def count(tables: list[pa.Table], config: PretokenConfig, partitions: int = 1) -> list[pa.Table]:
    """Maps, partitions and reduces by hand: one table per partition."""
    place = Place(index=0, partitions=partitions)
    spilled = pa.concat_tables([counting._count(config, place, table) for table in tables])
    parts = []
    for number in range(partitions):
        rows = spilled.filter(pa.array(spilled["partition"].to_numpy() == number)).select(PRETOKENS.names)
        parts.append(counting._add(config, place, rows, None).table)
    return parts


def expected(texts: list[str | None], split: str) -> Counter[tuple[str, bytes]]:
    total = Counter[tuple[str, bytes]]()
    for number, text in enumerate(texts):
        for piece in cut([text or ""], split)[0]:
            total[LANGUAGES[number % 4] or "unknown", piece] += 1
    return total


def as_counter(table: pa.Table) -> Counter[tuple[str, bytes]]:
    keys = zip(table["domain"].to_pylist(), table["pretoken"].to_pylist(), strict=True)
    return Counter(dict(zip(keys, table["count"].to_pylist(), strict=True)))


class TestCounts:
    CONFIG = PretokenConfig(split="o200k")

    def test_no_cut_into_shards_or_partitions_changes_them(self) -> None:
        texts = [*TEXTS, None, ""]
        table = documents(texts)
        (whole,) = count([table], self.CONFIG)
        assert as_counter(whole) == expected(texts, "o200k")
        (cut_up,) = count([table.slice(0, 7), table.slice(7, 1), table.slice(8)], self.CONFIG)
        assert cut_up.equals(whole)
        parts = count([table], self.CONFIG, partitions=3)
        assert all(part.num_rows > 20 for part in parts)
        assert merge_counts(parts).equals(whole)
        assert not set(parts[0]["pretoken"].to_pylist()) & set(parts[1]["pretoken"].to_pylist())

    def test_counts_are_sorted_and_of_their_schema(self) -> None:
        (table,) = count([documents(list(TEXTS))], self.CONFIG)
        assert table.schema.equals(PRETOKENS)
        rows = list(zip(table["domain"].to_pylist(), table["pretoken"].to_pylist(), strict=True))
        assert rows == sorted(rows)
        assert digest(table) == "bc03423ec2d287463f011a81e2962e60ed0efa803f48961096d3d821d757f479"

    def test_dropped_documents_and_copies_do_not_count(self) -> None:
        table = documents(list(TEXTS))
        keep = [number % 3 != 0 for number in range(len(TEXTS))]
        copies = pa.array([document_id(0) if number % 5 == 1 else None for number in range(len(TEXTS))], ID)
        (counted,) = count([table.append_column("keep", [keep]).append_column("duplicate_of", copies)], self.CONFIG)
        left = [text if n % 3 and n % 5 != 1 else None for n, text in enumerate(TEXTS)]
        assert as_counter(counted) == expected(left, "o200k")

    def test_sampling_is_by_document_and_domain(self) -> None:
        table = documents(list(TEXTS) * 50)
        config = PretokenConfig(split="r50k", max_domain_bytes=20_000)
        sizes = counting._add_sizes(None, Place(index=0, partitions=1), measured(table), None)
        assert set(sizes.counters) == {"bytes:Python", "bytes:Ruby", "bytes:unknown", "bytes:Go"}
        rates = {"Python": 0.25, "Ruby": 0.5}
        sampled = counting._sampled(counting._kept(table), rates)
        by_domain = Counter(sampled["domain"].to_pylist())
        assert by_domain["Go"] == by_domain["unknown"] == 500
        assert 90 < by_domain["Python"] < 160
        assert 200 < by_domain["Ruby"] < 300
        backwards = counting._sampled(counting._kept(table.slice(100, 200)), rates)["document_id"].to_pylist()
        assert set(backwards) == set(sampled["document_id"].to_pylist()) & set(
            table["document_id"].to_pylist()[100:300]
        )
        assert config.rates == ()

    def test_bad_values(self) -> None:
        for values, message in (
            ({"split": "words"}, "split='words' must be one of"),
            ({"split": "r50k", "max_domain_bytes": -1}, "max_domain_bytes must not be negative"),
            ({"split": "r50k", "bytes_per_partition": 0}, "bytes_per_partition must be at least 1"),
            ({"split": "r50k", "method": "wordpiece"}, "method='wordpiece' must be one of bpe, superbpe"),
            ({"split": "r50k", "method": "lib"}, "needs cuts of its own"),
        ):
            with pytest.raises(ValueError, match=message):
                PretokenConfig(**values)  # type: ignore[arg-type]


def measured(table: pa.Table) -> pa.Table:
    problems = pa.array([None] * table.num_rows, pa.string())
    sized = table.drop_columns("text").append_column("problem", problems)
    return counting._measure(None, Place(index=0, partitions=1), sized)


DEFAULTS: dict[str, Any] = {
    "source": (), "corpus": None, "site": None, "workers": None, "local": True, "as_json": True, "method": "bpe",
    "split": "llama3", "vocabulary_size": 300, "unit": None, "alphabet_size": None, "min_count": None,
    "max_token_length": None, "min_pretoken_count": None, "dictionary": (), "force": (),
    "special": ("<|endoftext|>",), "share": (), "max_language_bytes": None,
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "input"
    for number, text in enumerate(TEXTS):
        write(folder / f"m{number}.{'py' if number % 2 else 'md'}", text + f"{number}\n")
    write(folder / "copy.py", TEXTS[1] + "1\n")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    return folder


def train(tmp_path: Path, capsys: pytest.CaptureFixture[str], **values: Any) -> dict[str, Any]:
    """What the command prints with `--json`."""
    to = tmp_path / "out" / "tokenizer.json"
    capsys.readouterr()
    train_tokenizer(**(DEFAULTS | {"to": to, "store": str(tmp_path / "store")} | values))
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


class TestCommand:
    def test_a_folder_becomes_a_tokenizer_and_again_costs_nothing(
        self, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = f"{source}?shard_bytes=1000"
        printed = train(tmp_path, capsys, source=(line,), force=("return", "<grist>"))
        path = Path(printed["path"])
        assert printed["tokens"] == 300
        assert (printed["added_tokens"], printed["special_tokens"]) == (1, 1)
        unique = [text + f"{number}\n" for number, text in enumerate(TEXTS)]
        assert printed["languages"] == {
            "Markdown": sum(len(t.encode()) for t in unique[::2]),
            "Python": sum(len(t.encode()) for t in unique[1::2]),
        }
        assert printed["bytes"] == sum(printed["languages"].values())
        vocabulary = load_vocabulary(str(path), sha256=printed["sha256"])
        assert vocabulary.special_token() == 300
        tokenizer = Tokenizer.from_file(str(path))
        assert len(tokenizer.encode("return").ids) == len(tokenizer.encode("<grist>").ids) == 1
        assert sum(len(tokenizer.encode(text).ids) for text in unique) < printed["bytes"] / 2
        path.unlink()
        again = train(tmp_path, capsys, source=(line,), force=("return", "<grist>"))
        assert (again["shards_made"], again["sha256"]) == (0, printed["sha256"])
        train(tmp_path, capsys, source=(f"{source}?shard_bytes=100000",), force=("return", "<grist>"))
        assert path.exists()  # the same bytes however documents are cut into shards
        with pytest.raises(PublishError, match="is there with other content"):
            train(tmp_path, capsys, source=(line,), vocabulary_size=290)

    def test_a_published_corpus_gives_the_documents_that_it_keeps(
        self, published: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        printed = train(tmp_path, capsys, corpus="tiny@1", store=str(published.store), vocabulary_size=310)
        assert printed["tokens"] == 310
        kept = sum(path.stat().st_size for path in sorted(published.source.glob("code/*.py")))
        assert kept < printed["languages"]["Python"] < kept + 1000  # dropped: a copy, and a file of one long line

    def test_a_corpus_that_has_lost_a_shard_is_an_error(
        self, published: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = tmp_path / "copy"
        shutil.copytree(published.store, store)
        documents = next(step for step in published.manifest.steps if step.role == "documents")
        (store / "records" / documents.folder / f"{documents.keys[0]}.json").unlink()
        with pytest.raises(NotFoundError, match="was never made or its record was deleted"):
            train(tmp_path, capsys, corpus="tiny@1", store=str(store))

    def test_shares_and_samples(self, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write(source / "long.rb", "puts 'zzyzx quux'\n" * 2000)
        plain = train(tmp_path, capsys, source=(str(source),), to=tmp_path / "plain.json")
        shared = train(
            tmp_path, capsys, source=(str(source),), to=tmp_path / "shared.json", share=("Ruby=1", "Python=3")
        )
        total = plain["languages"]["Ruby"] + plain["languages"]["Python"]
        assert abs(shared["bytes"] - total) < total / 20
        assert shared["sha256"] != plain["sha256"]
        capped = train(tmp_path, capsys, source=(str(source),), to=tmp_path / "cap.json", max_language_bytes=1500)
        assert 0 < capped["languages"]["Markdown"] < plain["languages"]["Markdown"]
        with pytest.raises(PlanError, match="shares name Perl, of which there is no text; there is: Markdown, Python"):
            train(tmp_path, capsys, source=(str(source),), share=("Perl=1",))

    @pytest.mark.parametrize("method", ["superbpe", "supertokens", "hybrid"])
    def test_other_methods_count_what_they_need(
        self, method: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path / "words.tsv", "root\tgrist\naffix\ting\n")
        dictionary = (tmp_path / "words.tsv",) if method == "hybrid" else ()
        printed = train(tmp_path, capsys, source=(str(source),), method=method, dictionary=dictionary)
        assert 260 < printed["tokens"] <= 300
        assert json.loads(Path(printed["path"]).read_bytes())
        values = {"method": method, "dictionary": dictionary, "vocabulary_size": 280, "to": tmp_path / "280.json"}
        assert train(tmp_path, capsys, source=(str(source),), **values)["shards_made"] == 2  # nothing is counted again

    @pytest.mark.parametrize(
        ("values", "error", "message"),
        [
            ({}, RecipeError, "give either --source"),
            ({"source": ("x",), "corpus": "y"}, RecipeError, "give either --source"),
            ({"source": ("nowhere",)}, SourceError, "neither KIND:WHERE nor a folder"),
            ({"corpus": "nothing"}, NotFoundError, "there is no store|nothing"),
            ({"source": ("x",), "vocabulary_size": 10}, RecipeError, "above the 256 bytes, got 10"),
            ({"source": ("x",), "split": "gpt5"}, RecipeError, "split='gpt5' must be one of"),
            ({"source": ("x",), "share": ("Python",)}, RecipeError, "must be LANGUAGE=NUMBER"),
            ({"source": ("x",), "share": ("Python=0",)}, RecipeError, "must be positive"),
            ({"source": ("x",), "share": ("C=1", "C=2")}, RecipeError, "name a domain twice"),
            ({"source": ("x",), "special": ("",)}, RecipeError, "must not be empty"),
            ({"source": ("x",), "special": ("a",)}, RecipeError, "special token 'a' is a token already"),
            (
                {"source": ("x",), "special": ("é",), "method": "lib"},
                RecipeError,
                "special token 'é' is a token already",
            ),
            ({"source": ("x",), "special": ("<a>", "<a>")}, RecipeError, "special token '<a>' is given twice, or as a"),
            ({"source": ("x",), "special": ("<a>",), "force": ("<a>",)}, RecipeError, "'<a>' is given twice, or as a"),
            ({"source": ("x",), "force": WORDS}, RecipeError, "45 forced tokens do not fit a vocabulary of 300"),
            ({"source": ("x",), "alphabet_size": 5}, RecipeError, "--alphabet-size is for --unit characters"),
            (
                {"source": ("x",), "alphabet_size": 5, "unit": "bytes"},
                RecipeError,
                "--alphabet-size is for --unit characters",
            ),
            ({"source": ("x",), "method": "lib", "force": ("a",)}, RecipeError, "--force is for --method bpe"),
            ({"source": ("x",), "method": "lib", "unit": "bytes"}, RecipeError, "are for --method bpe, not lib"),
            ({"source": ("x",), "method": "lib", "min_count": 3}, RecipeError, "--min-count is not for --method lib"),
            ({"source": ("x",), "method": "best"}, RecipeError, "method='best' must be one of bpe, superbpe"),
            ({"source": ("x",), "method": "hybrid"}, RecipeError, "needs a --dictionary"),
            ({"source": ("x",), "dictionary": (Path("d"),)}, RecipeError, "--dictionary is for --method hybrid"),
        ],
    )
    def test_bad_values(
        self,
        values: dict[str, Any],
        error: type[Exception],
        message: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with pytest.raises(error, match=message):
            train(tmp_path, capsys, **values)

    def test_what_cannot_be_learnt_names_the_reason(
        self, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(ShardsFailedError, match="'def' is a token of the vocabulary"):
            train(tmp_path, capsys, source=(str(source),), special=("def",))

    @pytest.mark.parametrize("method", ["bpe", "superbpe"])
    def test_a_corpus_without_text_is_an_error(
        self, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path / "input" / "empty.py", "")
        with pytest.raises(ShardsFailedError, match="nothing to learn from: no document that counts has text"):
            train(tmp_path, capsys, source=(str(tmp_path / "input"),), method=method)

    @pytest.mark.ray
    @pytest.mark.slow
    def test_ray_gives_the_same_bytes(self, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = f"{source}?shard_bytes=1000"
        here = train(tmp_path, capsys, source=(line,))
        values = {"local": False, "workers": 2, "store": str(tmp_path / "other"), "to": tmp_path / "ray.json"}
        assert train(tmp_path, capsys, source=(line,), **values)["sha256"] == here["sha256"]


def test_bad_settings_of_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="min_pretoken_count must be at least 1"):
        TokenizerConfig(min_pretoken_count=0)
