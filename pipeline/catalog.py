"""Published versions, `name@version`, and their packings: claimed by compare-and-set and never overwritten.

A claim is the manifest under `catalog/NAME/VERSION.json`. The files are then linked or copied to
`corpora/NAME/VERSION/`, whose own `manifest.json` is written last: a version is complete exactly when it is there.
A packing that is added later is claimed as `catalog/NAME/VERSION/PACKING.json` and put in place in the same way, under
`packings/PACKING/` with its `packing.json` last.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import CorruptShardError, NotFoundError, PublishError
from pipeline.storage import Storage
from schemas.manifest import Manifest, Packing

Model = TypeVar("Model", bound=BaseModel)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def check_name(kind: str, value: str) -> None:
    """Raise ValueError unless the value can name a folder everywhere."""
    if not _NAME.fullmatch(value):
        raise ValueError(f"{kind} {value!r} must be 1 to 100 of a-z 0-9 . _ - and begin with a letter or digit")


def names(storage: Storage) -> list[str]:
    """Names of published corpora."""
    return storage.folders("catalog")


def versions(storage: Storage, name: str) -> list[str]:
    """Versions of a corpus, oldest number first, then named ones."""
    found = [file.removesuffix(".json") for file in storage.files(f"catalog/{name}")]
    return sorted(found, key=lambda v: (not v.isdecimal(), int(v) if v.isdecimal() else 0, v))


def load(storage: Storage, reference: str) -> Manifest:
    """The manifest of `name@version`, or of the newest version of `name`. Raises NotFoundError."""
    name, _, version = reference.partition("@")
    known = versions(storage, name) if _NAME.fullmatch(name) else []
    if not known:
        there = ", ".join(names(storage)) or "none"
        raise NotFoundError(f"no corpus {name!r} in {storage.url('')}; published here: {there}")
    version = version or known[-1]
    if version not in known:
        raise NotFoundError(f"{name} has no version {version!r}; it has: {', '.join(known)}")
    return _read(storage, name, version)


def folder(manifest: Manifest) -> str:
    """Where a version's files lie in the store."""
    return f"corpora/{manifest.name}/{manifest.version}"


def is_complete(storage: Storage, manifest: Manifest) -> bool:
    """Whether all files of a claimed version are in place."""
    return "manifest.json" in storage.files(folder(manifest))


def publish(storage: Storage, manifest: Manifest, extra: Mapping[str, bytes], sources: Mapping[str, str]) -> Manifest:
    """Claim a version and put its files in place; the same content is published once.

    `manifest.version` is empty for the next free number. `sources` maps every published path to a file of the store,
    `extra` holds small files such as the card. Raises PublishError if the version is taken by other content.
    """
    claimed = _claim(storage, manifest)
    target = folder(claimed)
    if not is_complete(storage, claimed):
        for path, source in sources.items():
            storage.copy(source, f"{target}/{path}")
        for path, data in extra.items():
            storage.write(f"{target}/{path}", data)
        storage.write(f"{target}/manifest.json", _json(claimed))
    return claimed


def packings(storage: Storage, manifest: Manifest) -> list[Packing]:
    """All packings of a version: those it was published with, then the others by name."""
    added = storage.files(f"catalog/{manifest.name}/{manifest.version}")
    files = [f"catalog/{manifest.name}/{manifest.version}/{name}" for name in added if name.endswith(".json")]
    return [*manifest.packings, *(_parse(Packing, storage, file) for file in files)]


def is_packing_complete(storage: Storage, manifest: Manifest, name: str) -> bool:
    """Whether all files of a packing are in place."""
    return "packing.json" in storage.files(f"{folder(manifest)}/packings/{name}")


def publish_packing(storage: Storage, manifest: Manifest, packing: Packing, sources: Mapping[str, str]) -> bool:
    """Claim a packing of a version and put its files in place; False if the same one was there.

    `sources` maps the path of every file to a file of the store. Raises PublishError if the name is taken by a packing
    with other settings.
    """
    if not is_complete(storage, manifest):
        raise PublishError(f"{manifest.name}@{manifest.version} is incomplete: run its recipe again first")
    before = next((p for p in packings(storage, manifest) if p.name == packing.name), None)
    if before is None and not storage.create(_packing_claim(manifest, packing.name), packing_bytes(packing)):
        before = _parse(Packing, storage, _packing_claim(manifest, packing.name))
    if before is not None and before.identity != packing.identity:
        raise PublishError(
            f"{manifest.name}@{manifest.version} has another packing {packing.name}: {before.method}, "
            f"{before.sequence_length} tokens, seed {before.seed}; choose another name with --name"
        )
    if is_packing_complete(storage, manifest, packing.name):
        return False
    for path, source in sources.items():
        storage.copy(source, f"{folder(manifest)}/{path}")
    storage.write(f"{folder(manifest)}/packings/{packing.name}/packing.json", packing_bytes(packing))
    return True


def packing_bytes(packing: Packing) -> bytes:
    """What `packing.json` holds."""
    return packing.model_dump_json(indent=1).encode() + b"\n"


def _packing_claim(manifest: Manifest, name: str) -> str:
    return f"catalog/{manifest.name}/{manifest.version}/{name}.json"


def _claim(storage: Storage, manifest: Manifest) -> Manifest:
    wanted = manifest.version
    while True:
        known = versions(storage, manifest.name)
        for version in [wanted] if wanted in known else known if not wanted else []:
            before = _read(storage, manifest.name, version)
            if before.identity == manifest.identity:
                return before
            if wanted:
                raise PublishError(f"{manifest.name}@{wanted} is published with other content; choose another version")
        number = max((int(v) for v in known if v.isdecimal()), default=0) + 1
        claim = manifest.model_copy(update={"version": wanted or str(number)})
        if storage.create(f"catalog/{claim.name}/{claim.version}.json", _json(claim)):
            return claim


def _read(storage: Storage, name: str, version: str) -> Manifest:
    return _parse(Manifest, storage, f"catalog/{name}/{version}.json")


def _parse(kind: type[Model], storage: Storage, file: str) -> Model:
    try:
        return kind.model_validate_json(storage.read(file))
    except ValidationError as error:
        raise CorruptShardError(
            f"{storage.url(file)} is not a manifest of this version of gristmill: {error}"
        ) from error


def _json(manifest: Manifest) -> bytes:
    return manifest.model_dump_json(indent=1).encode() + b"\n"
