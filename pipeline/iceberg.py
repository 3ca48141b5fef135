"""Published versions as Iceberg tables, for engines that query instead of read files.

The manifest is the truth; the table is made from it and may be dropped and registered again. `name@version` is the
table `VERSION` of the namespace `NAME`; it refers to the published files where they are.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from pipeline.errors import SiteError
from pipeline.site_file import Site
from pipeline.storage import LocalStorage, Storage


def register(site: Site, storage: Storage, name: str, version: str, files: Sequence[str]) -> str | None:
    """Enter a version into the site's Iceberg catalog; gives the table's identifier.

    `files` are names in the storage. Does nothing if the table is there. Without `catalog.uri`, a local store has a
    SQLite catalog beside it and a bucket has none: then the result is None. Raises SiteError if the catalog fails.
    """
    uri = site.catalog.uri or _beside(storage)
    if uri is None:
        return None
    logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)  # a note for every column without statistics
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError

    identifier = (name, version)
    try:
        catalog = load_catalog("gristmill", uri=uri, warehouse=_url(storage, "iceberg"), **_access(site))
        catalog.create_namespace_if_not_exists(name)
        try:
            table = catalog.load_table(identifier)
        except NoSuchTableError:
            with storage.open(files[0]) as file:
                schema = pq.read_schema(file).remove_metadata()
            table = catalog.create_table(identifier, schema=schema)
        if table.current_snapshot() is None:
            table.add_files([_url(storage, file) for file in files])
    except TableAlreadyExistsError:
        pass  # another publisher of the same version was faster
    except Exception as error:
        raise SiteError(
            f"{name}@{version} is published, but the Iceberg catalog {_without_password(uri)} failed: {error}; "
            "check catalog.uri in the site file and run the same command again"
        ) from error
    return f"{name}.{version}"


def _beside(storage: Storage) -> str | None:
    if not isinstance(storage, LocalStorage):
        return None
    return f"sqlite:///{storage.root / 'catalog' / 'iceberg.sqlite'}"


def _url(storage: Storage, name: str) -> str:
    url = storage.url(name)
    return url if "://" in url else Path(url).as_uri()


def _access(site: Site) -> dict[str, str]:
    """How the catalog's library reaches the files of a bucket."""
    store = site.store
    if not store.path.startswith("s3://"):
        return {}
    names = {"s3.access-key-id": store.access_key_env, "s3.secret-access-key": store.secret_key_env}
    keys = {key: os.environ[name] for key, name in names.items() if name in os.environ}
    return keys | {"s3.region": store.region} | ({"s3.endpoint": store.endpoint} if store.endpoint else {})


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri
