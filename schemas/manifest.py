"""Commit records and manifests: the JSON that says what data exists and where it came from."""

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(_Model):
    """The commit record of one shard. Data without a record does not exist."""

    key: str
    """Hex digest of (step, config, library versions, keys of the inputs)."""
    step: str
    """Folder of the step: `name-identity`."""
    file: str
    """Path of the data inside the store."""
    sha256: str
    """Digest of the file."""
    file_bytes: int
    """Size of the file."""
    rows: int
    """Rows of the table."""
    base: str
    """Key of the documents shard that this one is row-aligned with; its own key for others."""
    exact: bool
    """Whether the same key must give the same bytes everywhere; false for floating-point models."""
    libraries: dict[str, str]
    """Versions of what made it; pyarrow's writer is one that is not part of the key."""
    counters: dict[str, int]
    """`rows`, `bytes` (content), `out_rows`, `out_bytes`, and `reason:NAME` for every mark's reason."""


class StepEntry(_Model):
    """One step of a plan, as lineage."""

    name: str
    """As shown to users."""
    folder: str
    """Folder of its shards and records inside the store."""
    role: str
    """`documents`, `sidecar` (row-aligned with them), `files`, `packing`, `index` or `other`."""
    version: int
    """Of the step's code; raised when the same input gives other output."""
    config: object
    """Its settings, as canonical JSON."""
    libraries: dict[str, str]
    """Versions of the distributions that are part of its keys."""
    inputs: list[str]
    """Folders of the steps it reads."""
    keys: list[str]
    """Its shards, in order."""


class FileEntry(_Model):
    """One published file."""

    path: str
    """Relative to the version's folder."""
    key: str
    """Of the shard that it is."""
    sha256: str
    """Digest of the file."""
    file_bytes: int
    """Size of the file."""
    rows: int
    """Documents."""
    tokens: int
    """Tokens, those that end documents included."""


class PackingFile(_Model):
    """The index of one data file in one packing."""

    path: str
    """Relative to the version's folder."""
    data: str
    """The data file whose documents it packs."""
    key: str
    """Of the shard that it is."""
    sha256: str
    """Digest of the file."""
    file_bytes: int
    """Size of the file."""
    rows: int
    """Training sequences."""
    tokens: int
    """Tokens of the sequences, padding apart."""
    pieces: int
    """Pieces of documents; a document that is not cut is one."""


class Packing(_Model):
    """One packing of a version: how its documents become training sequences. Never overwritten."""

    format: int = 1
    """Of this JSON."""
    name: str
    """Unique within the version."""
    identity: str
    """Digest of its files and settings."""
    method: str
    """`best-fit`, `concatenate` or `document`."""
    sequence_length: int
    """Tokens of a sequence; 0 where a sequence is a whole document."""
    seed: int
    """Of the order of the sequences."""
    padding: int
    """Token id that fills up a sequence."""
    sequences: int
    """Training sequences."""
    tokens: int
    """Tokens in them, padding apart."""
    pieces: int
    """Pieces of documents in them."""
    files: list[PackingFile]
    """In the order of the data files."""

    @property
    def utilisation(self) -> float:
        """Share of the positions of all sequences that hold a token; 1 where there are none."""
        positions = self.sequences * self.sequence_length
        return self.tokens / positions if positions else 1.0


class SourceEntry(_Model):
    """What was read: one (origin, revision) with its totals."""

    origin: str
    """As in the documents."""
    revision: str
    """As in the documents; empty where the origin has none."""
    documents: int
    """Rows of the documents, unreadable ones included."""
    bytes: int
    """Their size in the source."""


class FunnelEntry(_Model):
    """Rows and bytes into and out of one step, with reasons."""

    step: str
    """Name of the step."""
    rows_in: int
    """Documents that it looked at."""
    rows_out: int
    """Documents that it has nothing against."""
    bytes_in: int
    """Size of the documents in their sources."""
    bytes_out: int
    """Size of those that it has nothing against."""
    reasons: dict[str, int]
    """Documents by reason; one document may have several."""


class MixtureDomain(_Model):
    """One domain of a mixture: what was planned of it and what is there. Tokens count those that end documents."""

    domain: str
    """Of the source."""
    weight: float
    """Share of the tokens that was asked for."""
    available: int
    """Tokens of the domain in the source."""
    planned: int
    """Tokens by weight and target; those of all domains sum to the target."""
    realised: int
    """Tokens in the published files, within 0.5 % of the plan."""
    epochs: float
    """Realised over available: how often the domain is repeated."""
    documents: int
    """Different documents."""
    copies: int
    """Rows: documents with their repetitions."""
    cut: int
    """Tokens of the one document or group that is there in part, so that a tiny domain meets its plan; 0 for none."""


class Mixture(_Model):
    """How a version was mixed from another one."""

    source: str
    """`name@version`."""
    source_identity: str
    """Identity of the source."""
    tokens: int
    """Tokens that were asked for."""
    max_epochs: float
    """How often a domain might be repeated."""
    seed: int
    """Of the documents that were drawn and of the order."""
    domains: list[MixtureDomain]
    """All domains of the source, sorted by name; those of weight 0 too."""


class Manifest(_Model):
    """One published version: `name@version`. Never overwritten."""

    format: int = 2
    """Of this JSON."""
    name: str
    """Of the corpus."""
    version: str
    """Unique within the name."""
    identity: str
    """Digest of all its files, its packings, its index and its reports: equal identity means equal bytes."""
    recipe: str
    """Name of the function that composed it."""
    parameters: dict[str, object]
    """Its arguments."""
    vocabulary: str
    """What the token ids are of."""
    tokenizer: dict[str, object] = {}
    """What encoded: digests of the vocabulary and of Unicode classes, kind, split, engine, versions of libraries."""
    end_of_document: int
    """Token id after each document."""
    documents: int
    """Published documents."""
    tokens: int
    """Published tokens, those that end documents included."""
    domains: dict[str, int]
    """Tokens by domain."""
    languages: dict[str, int]
    """Kept documents by language."""
    licenses: dict[str, int]
    """Kept documents by SPDX expression."""
    files: list[FileEntry]
    """In order: domain by domain, part by part."""
    packings: list[Packing]
    """Those that it was published with; others may have been added beside them."""
    sources: list[SourceEntry]
    """The largest ones; all are in `summary.parquet`."""
    funnel: list[FunnelEntry]
    """Documents through the steps."""
    steps: list[StepEntry]
    """Inputs first."""
    mixture: Mixture | None = None
    """How it was mixed from another version; null for one that a recipe made."""
