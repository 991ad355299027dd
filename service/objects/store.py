"""The storage for encrypted objects: a local folder, or a bucket with the S3 API. Names and contents reveal nothing."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, S3Store

from index.storage import read_regular, step, sync_directory
from service.errors import SettingError
from service.runtime.ports import make_folder

_LOG = logging.getLogger(__name__)
_LISTED_AT_ONCE = 1000
# The connect timeout must fail a call within its 30 s. The response timeout is longer, because models are large.
_CONNECT, _ANSWER = timedelta(seconds=3), timedelta(seconds=60)
_RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}
_UNFINISHED = "#1"  # suffix of files that obstore is writing


@dataclass(frozen=True)
class Bucket:
    """A bucket and its credentials.

    - `url`: s3://bucket/prefix.
    - `endpoint`: of a service other than Amazon's.
    - `access_key`: empty: the default credential chain (AWS_… in the environment, or the cloud's metadata service).
    """

    url: str
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)


class ObjectStore:
    """All methods are thread-safe, and raise OSError if the storage fails."""

    def __init__(self, folder: Path, bucket: Bucket | None = None) -> None:
        """`folder`: the location of objects if there is no bucket. Raises SettingError."""
        self._folder = None if bucket else folder
        if bucket is None:
            make_folder(folder)
            self._store: Any = LocalStore(folder)
        else:
            self._store = _s3(bucket)

    def put(self, name: str, content: bytes) -> None:
        """Stores an object, durably."""
        with _os_errors():
            obstore.put(self._store, name, content)
        if self._folder is not None:
            step("an object is written")
            _synced(self._folder / name)

    def get(self, name: str) -> bytes:
        """The content of an object. Raises FileNotFoundError."""
        with _os_errors(may_be_missing=True):
            if self._folder is not None:
                return read_regular(self._folder / name)  # obstore would wait for the writer of a pipe
            return bytes(obstore.get(self._store, name).bytes())

    def names(self, prefix: str) -> list[str]:
        """The names of all objects below a prefix such as `a/b`."""
        with _os_errors():
            if self._folder is not None:
                return sorted(str(path.relative_to(self._folder)) for path in _files(self._folder / prefix))
            pages = obstore.list(self._store, prefix, chunk_size=_LISTED_AT_ONCE)
            return [str(entry["path"]) for page in pages for entry in page]

    def delete(self, names: Sequence[str]) -> None:
        """Deletes objects. Missing ones are ignored."""
        if self._folder is None:
            for start in range(0, len(names), _LISTED_AT_ONCE):
                with _os_errors():
                    obstore.delete(self._store, list(names[start : start + _LISTED_AT_ONCE]))
            return
        for name in names:
            for path in (self._folder / name, self._folder / f"{name}{_UNFINISHED}"):
                _remove(path)
            step("an object is removed")

    def clear(self, prefix: str) -> int:
        """Deletes all objects below a prefix. Returns how many."""
        names = self.names(prefix)
        if self._folder is None:
            self.delete(names)
        else:
            shutil.rmtree(self._folder / prefix, ignore_errors=not names)
        return len(names)


@contextmanager
def _os_errors(*, may_be_missing: bool = False) -> Iterator[None]:
    """Logs failures, and raises them as OSError. FileNotFoundError passes if `may_be_missing`."""
    try:
        yield
    except Exception as error:  # obstore has a separate class for each kind of failure
        if may_be_missing and isinstance(error, FileNotFoundError):
            raise
        _LOG.warning("object storage: %s", " ".join(str(error).split())[:500])
        raise OSError(f"object storage: {type(error).__name__}") from error


def _s3(bucket: Bucket) -> Any:
    place = urlsplit(bucket.url)
    if place.scheme != "s3" or not place.netloc:
        raise SettingError.about(
            "object_store", f"{bucket.url!r} is not s3://bucket/prefix; leave it empty for a local folder"
        )
    options: dict[str, Any] = {}
    if bucket.endpoint:
        options["endpoint"] = bucket.endpoint
    if bucket.region:
        options["region"] = bucket.region
    if bucket.access_key:
        options |= {"access_key_id": bucket.access_key, "secret_access_key": bucket.secret_key}
    allow_http = bucket.endpoint.startswith("http://")
    prefix = place.path.strip("/") or None
    return S3Store(
        place.netloc, prefix=prefix, retry_config=_RETRY,
        client_options={"allow_http": allow_http, "connect_timeout": _CONNECT, "timeout": _ANSWER}, **options,
    )  # fmt: skip


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, in no order: no links, which obstore follows, and fails where they lead nowhere."""
    try:
        for name, _, files in os.walk(folder, onerror=_raised):
            paths = (Path(name, file) for file in files if not file.endswith(_UNFINISHED))
            yield from (path for path in paths if stat.S_ISREG(path.lstat().st_mode))
    except FileNotFoundError:
        return  # removed since, or never there


def _raised(error: OSError) -> None:
    raise error


def _remove(path: Path) -> None:
    """Removes whatever lies at a path, if anything: a folder would stop the deletion of everything after it."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path)


def _synced(path: Path) -> None:
    """Makes a file and its name durable. obstore has already renamed it into place."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    sync_directory(path.parent)
    sync_directory(path.parent.parent)
