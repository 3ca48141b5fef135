"""A tokenizer learnt from counted pretokens: one exchange with one partition.

Reads `PRETOKENS`, writes `TOKENIZER`. Memory of the reduce: 200 bytes per distinct pretoken, and 16 per byte of them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.tokenizers.pretoken_counts import METHODS, Settings, domain_bytes
from pipeline.dataset import Dataset
from pipeline.errors import PlanError
from pipeline.exchange import PARTITION, Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.manifest import Record
from schemas.pretokens import PRETOKENS, TOKENIZER
from stages.tokenization.pieces import byte_alphabet
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.training.bpe import BpeConfig, train_bpe
from stages.tokenization.training.policies import DEFAULT_SPLIT, pattern_of
from stages.tokenization.training.tokenizer_json import tokenizer_json
from stages.tokenization.training.units import Counts
from stages.tokenization.vocabulary import END_OF_TEXT

_WEIGHED = columns(pa.field("kind", pa.int8()), pa.field("pretoken", pa.binary()), pa.field("count", pa.int64()))


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerConfig:
    """What a tokenizer is made of."""

    split: str = DEFAULT_SPLIT
    """How text is cut: the split of the counts."""
    method: str = "bpe"
    """`bpe`, or a key of `METHODS`: that of the counts."""
    settings: Settings | None = None
    """Of that method; None for `bpe`. What follows but special tokens and shares is for `bpe` alone."""
    bpe: BpeConfig = field(default_factory=BpeConfig)
    """What may be learnt. Its forced tokens are those of `forced_tokens` that the split leaves whole."""
    special_tokens: tuple[str, ...] = (END_OF_TEXT,)
    """Tokens that no text encodes to; they take the ids after the vocabulary, in this order."""
    forced_tokens: tuple[str, ...] = ()
    """Texts that must be one token. Those that the split cuts become added tokens, found before it."""
    shares: tuple[tuple[str, float], ...] = ()
    """(domain, share of the text that is learnt from); others have none. Empty: as the counts are."""
    min_pretoken_count: int = 1
    """Rarer pretokens are left out, which bounds memory on large corpora."""
    scales: tuple[tuple[str, float], ...] = ()
    """(domain, factor of its counts) that give the shares; filled in once the counts are known."""

    def __post_init__(self) -> None:
        pattern_of(self.split)
        if self.settings is not None and (self.forced_tokens or self.bpe != BpeConfig()):
            raise ValueError(f"method {self.method} takes its own settings; forced tokens and units are for bpe")
        if len({name for name, _ in self.shares}) < len(self.shares):
            raise ValueError("shares name a domain twice")
        if any(not share > 0 for _, share in self.shares):
            raise ValueError(f"shares must be positive numbers, got {dict(self.shares)}")
        if self.min_pretoken_count < 1:
            raise ValueError(f"min_pretoken_count must be at least 1, got {self.min_pretoken_count}")
        if any(not token for token in (*self.special_tokens, *self.forced_tokens)):
            raise ValueError("special and forced tokens must not be empty")
        _check_special(self.special_tokens, self.forced_tokens)
        _with_forced(self)


def learn_tokenizer(counts: Dataset, config: TokenizerConfig) -> Dataset:
    """The one-row dataset of `TOKENIZER`. `counts` were made with the split of the config."""
    return exchange(
        Exchange(
            name="tokenizer",
            version=1,
            spills=_WEIGHED,
            writes=TOKENIZER,
            reduce=_learn,
            libraries=("tiktoken",),
        ),
        config,
        [Feed(map=_weigh, datasets=(counts,), columns=(tuple(PRETOKENS.names),))],
        partitions=lambda *_: 1,
        counts_of=(counts,),
        complete=_with_scales,
    )


def _with_scales(config: TokenizerConfig, records: Sequence[Sequence[Record]]) -> TokenizerConfig:
    """Factors that keep the bytes of the named domains together as they are and give each its share."""
    if not config.shares:
        return config
    sizes = domain_bytes(records[0])
    missing = [name for name, _ in config.shares if not sizes.get(name)]
    if missing:
        raise PlanError(f"shares name {', '.join(missing)}, of which there is no text; there is: {', '.join(sizes)}")
    total, shares = sum(sizes[name] for name, _ in config.shares), sum(share for _, share in config.shares)
    scales = tuple((name, share / shares * total / sizes[name]) for name, share in sorted(config.shares))
    return replace(config, scales=scales)


def _weigh(config: TokenizerConfig, place: Place, table: pa.Table) -> pa.Table:
    """Counts of each pretoken over all domains, weighed and without the rare ones."""
    if config.scales:
        names = pa.array([name for name, _ in config.scales])
        factors = np.array([factor for _, factor in config.scales])
        table = table.filter(pc.is_in(table["domain"], names))
        number = pc.index_in(table["domain"], names).to_numpy()
        weighed = np.floor(table["count"].to_numpy() * factors[number] + 0.5).astype(np.int64)
        table = table.set_column(table.schema.get_field_index("count"), "count", pa.array(weighed))
    added = table.group_by(["kind", "pretoken"], use_threads=False).aggregate([("count", "sum")])
    added = added.rename_columns(_WEIGHED.names)
    kept = added.filter(pc.greater_equal(added["count"], config.min_pretoken_count))
    return kept.append_column(PARTITION, pa.array(np.zeros(kept.num_rows, np.int32)))


def _learn(config: TokenizerConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    if not rows.num_rows:
        raise ValueError(
            "there is nothing to learn from: no document that counts has text"
            + (f", or none in it occurs {config.min_pretoken_count} times" if config.min_pretoken_count > 1 else "")
        )
    rows = rows.sort_by([("kind", "ascending"), ("pretoken", "ascending")])
    if config.settings is None:
        content, counters = _learn_bpe(config, _counts_of(rows, 0))
    else:
        method = METHODS[config.method]
        counts = [_counts_of(rows, kind) for kind in range(method.kinds)]
        content = method.train(counts, config.settings, config.special_tokens)
        counters = {"tokens": _num_tokens(content, config.special_tokens), "added_tokens": 0}
    table = pa.table({"tokenizer": pa.array([content], pa.binary())}, schema=TOKENIZER)
    first = rows.filter(pc.equal(rows["kind"], 0))
    size = pc.sum(pc.multiply(pc.binary_length(first["pretoken"]).cast(pa.int64()), first["count"])).as_py() or 0
    counters |= {"bytes": size, "pretokens": first.num_rows, "special_tokens": len(config.special_tokens)}
    return Reduced(table=table, counters=counters)


def _counts_of(rows: pa.Table, kind: int) -> Counts:
    """Raises ValueError for more distinct text than one array holds."""
    chosen = rows.filter(pc.equal(rows["kind"], kind))
    if chosen["pretoken"].nbytes > np.iinfo(np.int32).max:
        raise ValueError(f"{chosen.num_rows} distinct pretokens are too many to learn from; raise min_pretoken_count")
    pretokens = pa.concat_arrays([pa.array([], pa.binary()), *chosen["pretoken"].chunks])
    return pretokens, chosen["count"].to_numpy()


def _check_special(special_tokens: Sequence[str], forced_tokens: Sequence[str]) -> None:
    """Raise ValueError for special tokens that are tokens already, whatever is learnt."""
    for number, name in enumerate(special_tokens):
        if name in special_tokens[:number] or name in forced_tokens:
            raise ValueError(f"special token {name!r} is given twice, or as a forced token too; name it once")
        if len(name.encode()) == 1 or name in byte_alphabet():
            raise ValueError(f"special token {name!r} is a token already, or the name of one: it stands for a byte")


def _with_forced(config: TokenizerConfig) -> tuple[BpeConfig, list[str]]:
    """What is learnt, with the forced tokens that the split leaves whole, and those that it cuts."""
    whole = [token for token in config.forced_tokens if _is_whole(token, config.split)]
    added = [token for token in config.forced_tokens if token not in whole]
    forced = tuple(token.encode() for token in whole if len(token.encode()) > 1)
    return replace(config.bpe, forced_tokens=forced), added


def _learn_bpe(config: TokenizerConfig, counts: Counts) -> tuple[bytes, dict[str, int]]:
    bpe, added = _with_forced(config)
    trained = train_bpe(*counts, bpe)
    content = tokenizer_json(trained, config.split, config.special_tokens, added_tokens=added)
    return content, {"tokens": len(trained.tokens), "added_tokens": len(added)}


def _num_tokens(content: bytes, special_tokens: Sequence[str]) -> int:
    """Tokens of a `tokenizer.json`, or of a file of a method's own, that are not special."""
    written = json.loads(content)
    if "model" not in written:
        return len(written["tokens"]) - len(special_tokens)
    return len(set(written["model"]["vocab"]).difference(special_tokens))


def _is_whole(token: str, split: str) -> bool:
    """Whether the split leaves this text in one piece."""
    spelt = token.encode()
    starts, _ = pretoken_starts(np.array([0, len(spelt)]), np.frombuffer(spelt, np.uint8), split)
    return len(starts) == 1
