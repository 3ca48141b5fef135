"""Names the language of each document, as GitHub's Linguist does.

Reads path, member, language and text; writes language. In order: what the source says, the file name, the extension
(by content where languages share it), the `#!` line, and Google's magika model for other files. Null where unknown.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Stage, Transform
from schemas.documents import DOCUMENT
from stages.ingest.distinct import Column, map_distinct
from stages.ingest.languages import EXTENSIONS, FILE_NAMES, INTERPRETERS, MAGIKA_LABELS, OTHER_NAMES
from stages.ingest.shared_extensions import SHARED_EXTENSIONS

if TYPE_CHECKING:
    from magika import Magika

READS = pa.schema([DOCUMENT.field(name) for name in ("path", "member", "language", "text")])
WRITES = pa.schema([DOCUMENT.field("language")])

_SEEN_BYTES = 65_536
_MAX_ENDINGS = 3
_COMPRESSED = frozenset({"bz2", "gz", "xz", "zst"})
_SHEBANG = (
    r"\A#![ \t]*(?:[^\s]*/)?"
    r"(?:env[ \t]+(?:-\S+[ \t]+)*(?:\w+=\S*[ \t]+)*(?:[^\s]*/)?)?"
    r"(?P<program>[A-Za-z][A-Za-z+_-]*)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageConfig:
    """How to name languages."""

    magika: bool = True
    """Ask magika's model about files that neither name nor `#!` line gives away; 4 to 8 ms of CPU each."""
    records: bool = False
    """Ask it about rows and lines of files too, which have no name that could tell: 200 documents a second."""
    min_text_chars: int = 32
    """Shorter documents are not shown to magika: they say too little."""

    def __post_init__(self) -> None:
        if self.min_text_chars < 1:
            raise ValueError(f"min_text_chars must be at least 1, got {self.min_text_chars}; set 1 to ask about all")


def _open(config: LanguageConfig) -> Transform:
    def transform(table: pa.Table) -> pa.Table:
        batches = [_name_batch(batch, config) for batch in table.to_batches()]
        return pa.Table.from_batches(batches, schema=WRITES)

    return transform


def _name_batch(batch: pa.RecordBatch, config: LanguageConfig) -> pa.RecordBatch:
    name = _file_name(batch["path"], batch["member"])
    endings = _endings(name)
    language: Column = pc.coalesce(
        map_distinct(batch["language"], _canonical),
        map_distinct(name, FILE_NAMES.get),
        map_distinct(endings, _by_ending),
    )
    language = _by_content(language, endings, batch["text"])
    language = pc.coalesce(language, map_distinct(_programs(batch["text"]), _by_program))
    if config.magika:
        is_asked = pc.or_(pa.scalar(config.records), name.is_valid())
        language = _by_magika(language, is_asked, batch["text"], config.min_text_chars)
    return pa.RecordBatch.from_arrays([language], schema=WRITES)


def _canonical(name: str) -> str | None:
    """The Linguist name of a language as a source writes it; a name that nobody knows stays as it is."""
    stripped = name.strip()
    lower = stripped.lower()
    spaced = _linguist_names().get(lower.replace("_", " ").replace("-", " "))
    return OTHER_NAMES.get(lower) or _linguist_names().get(lower) or spaced or stripped or None


@cache
def _linguist_names() -> dict[str, str]:
    shared = {language for rules, other in SHARED_EXTENSIONS.values() for language in (*dict(rules), other) if language}
    tables = (EXTENSIONS, FILE_NAMES, INTERPRETERS, MAGIKA_LABELS, OTHER_NAMES)
    return {name.lower(): name for name in sorted(shared.union(*(table.values() for table in tables)))}


def _file_name(path: Column, member: Column) -> Column:
    """The last part of the member's path; null for a row or line of a file, whose own name says nothing about it."""
    is_record: Column = pc.match_substring_regex(member, pattern=r"\A[^/.]*\d+\z")
    named = pc.if_else(is_record.fill_null(False), pa.scalar(None, pa.string()), pc.coalesce(member, path))
    return pc.replace_substring_regex(named, pattern=r"(?s)\A.*/", replacement="")


def _endings(name: Column) -> Column:
    """What follows the first dot that is not the name's first character, with that dot; at most three extensions."""
    pattern = rf"(?s)\A.+?(?P<endings>(?:\.[^.]+){{1,{_MAX_ENDINGS}}})\z"
    return pc.struct_field(pc.extract_regex(name, pattern=pattern), "endings")


def _by_ending(endings: str) -> str | None:
    """The longest extension that the table knows: `.blade.php` before `.php`."""
    parts = [part for part in endings[1:].split(".") if part.lower() not in _COMPRESSED]
    for start in range(len(parts)):
        ending = "." + ".".join(parts[start:])
        found = EXTENSIONS.get(ending) or EXTENSIONS.get(ending.lower())
        if found:
            return found
    return None


def _by_content(language: Column, endings: Column, text: Column) -> Column:
    """Decide rows whose extension several languages share."""
    last: Column = pc.utf8_lower(pc.replace_substring_regex(endings, pattern=r"(?s)\A.*\.", replacement="."))
    for ending, (rules, otherwise) in SHARED_EXTENSIONS.items():
        shared: Column = pc.equal(last, pa.scalar(ending))
        undecided: Column = pc.and_(language.is_null(), shared.fill_null(False))
        rows = pc.indices_nonzero(undecided)
        if not len(rows):
            continue
        start: Column = pc.binary_slice(text.take(rows).cast(pa.binary()), 0, _SEEN_BYTES)
        matches: list[Column] = [pc.match_substring_regex(start, pattern=pattern) for _, pattern in rules]
        names = [pa.scalar(name) for name, _ in rules]
        found = pc.case_when(
            pc.make_struct(*(match.fill_null(False) for match in matches)), *names, pa.scalar(otherwise, pa.string())
        )
        language = pc.replace_with_mask(language, undecided, found)
    return language


def _programs(text: Column) -> Column:
    """The program that the `#!` line names, without version and path."""
    start = pc.binary_slice(text.cast(pa.binary()), 0, 256)
    found = pc.struct_field(pc.extract_regex(start, pattern=_SHEBANG), "program")
    return found.cast(pa.string())


def _by_program(program: str) -> str | None:
    return INTERPRETERS.get(program) or INTERPRETERS.get(program.rstrip("-_"))


def _by_magika(language: Column, is_asked: Column, text: Column, min_chars: int) -> Column:
    long_enough: Column = pc.greater_equal(pc.utf8_length(text), pa.scalar(min_chars, pa.int32()))
    unknown: Column = pc.and_(pc.and_(language.is_null(), is_asked), long_enough.fill_null(False))
    rows = pc.indices_nonzero(unknown)
    if not len(rows):
        return language
    model = _model()
    labels = [str(model.identify_bytes(value.encode()).output.label) for value in text.take(rows).to_pylist()]
    found = pa.array([MAGIKA_LABELS.get(label) for label in labels], pa.string())
    return pc.replace_with_mask(language, unknown, found)


@cache
def _model() -> "Magika":
    """The model on one thread: a worker has the cpus that its stage asks for, not the machine's."""
    import onnxruntime
    from magika import Magika

    class SingleThreaded(Magika):
        def _init_onnx_session(self) -> onnxruntime.InferenceSession:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            return onnxruntime.InferenceSession(self._model_path, options, providers=["CPUExecutionProvider"])

    return SingleThreaded()


STAGE: Stage[LanguageConfig] = Stage(
    name="language",
    version=1,
    reads=READS,
    writes=WRITES,
    open=_open,
    exact=False,
    libraries=("magika", "onnxruntime"),
)
