"""Vocabularies as users write them: the name of one that ships in a package, or the path of a file, which is hashed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.inspection import stage_settings
from schemas.manifest import Manifest
from stages.tokenization.byte_words import VOCABULARY as BYTES
from stages.tokenization.byte_words import byte_pieces
from stages.tokenization.certify import choose_engine
from stages.tokenization.encode import EncodeConfig
from stages.tokenization.engines import Reference
from stages.tokenization.pieces import Pieces, pieces_of
from stages.tokenization.shipped import SHIPPED
from stages.tokenization.vocabulary import SPLITS, Vocabulary, load_vocabulary, vocabulary_file


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedVocabulary:
    """A loaded vocabulary, and what names it and its content."""

    vocabulary: Vocabulary
    sha256: str = ""
    """Of its file; empty for one that ships in a package."""
    split: str = ""
    """Of a file of ranks."""

    def encoding(self) -> EncodeConfig:
        """How to encode with it: by gigatoken, or for a file by the fastest engine that proves exact.

        Raises ValueError for a file that its reference cannot load.
        """
        name = self.vocabulary.name
        if not self.sha256:
            return EncodeConfig(vocabulary=name)
        engine, _ = choose_engine(self.vocabulary, Reference(self.vocabulary))
        return EncodeConfig(vocabulary=name, vocabulary_sha256=self.sha256, split=self.split, engine=engine)


def open_named(line: str) -> NamedVocabulary:
    """`NAME` or `PATH`, with `?split=NAME` behind a file of ranks. Raises ValueError for what is no vocabulary."""
    name, _, split = line.partition("?split=")
    if name in SHIPPED:
        return NamedVocabulary(vocabulary=load_vocabulary(name))
    sha256 = hashlib.sha256(vocabulary_file(name).read_bytes()).hexdigest()
    try:
        vocabulary = load_vocabulary(name, sha256=sha256, split=split)
    except ValueError as error:
        if "holds ranks" not in str(error):
            raise
        raise ValueError(f"{error}; write PATH?split=NAME for ranks ({', '.join(SPLITS)})") from error
    return NamedVocabulary(vocabulary=vocabulary, sha256=sha256, split=split)


def recorded_vocabulary(manifest: Manifest) -> tuple[str, str]:
    """(SHA-256, split) of a version's vocabulary, as its encoding was told; empty where it has none."""
    stages = [settings for step in manifest.steps for _, settings in stage_settings(step)]
    inside = [value for settings in stages for value in settings.values() if isinstance(value, Mapping)]
    chosen = next((found for found in (*stages, *inside) if found.get("vocabulary") == manifest.vocabulary), {})
    return chosen.get("vocabulary_sha256") or "", chosen.get("split") or ""


def pieces_named(name: str, sha256: str, split: str) -> Pieces:
    """The bytes of each id. Raises ValueError for a file that is not there, is another or has no bytes."""
    return byte_pieces() if name == BYTES else pieces_of(load_vocabulary(name, sha256=sha256, split=split))
