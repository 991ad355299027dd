"""Where sealed objects lie: a local folder, or a bucket that speaks the S3 API. Names and contents tell nothing."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, S3Store

from index.storage import step, sync_directory
from service.errors import SettingError

_LOG = logging.getLogger(__name__)
_LISTED_AT_ONCE = 1000
# A bucket that cannot be reached must fail a call before its 30 s are over; one that answers may need longer, for a
# model.
_CONNECT, _ANSWER = timedelta(seconds=3), timedelta(seconds=60)
_RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}
_UNFINISHED = "#1"  # what obstore adds to the name of a file that it is writing


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what opens it. url: s3://bucket/prefix. endpoint: of a service other than Amazon's. Without an
    access key the credentials of the machine are used (AWS_… in the environment, or those that the cloud gives it)."""

    url: str
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)


class ObjectStore:
    """Any number of threads may call any method at once. All raise OSError where the storage fails."""

    def __init__(self, folder: Path, bucket: Bucket | None = None) -> None:
        """`folder`: where objects lie unless a bucket is given. Raises SettingError."""
        self._folder = None if bucket else folder
        if bucket is None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store: Any = LocalStore(folder)
        else:
            self._store = _s3(bucket)

    def put(self, name: str, content: bytes) -> None:
        """Stores an object; it is durable when this returns."""
        with _told():
            obstore.put(self._store, name, content)
        if self._folder is not None:
            step("an object is written")
            _synced(self._folder / name)

    def get(self, name: str) -> bytes:
        """An object. Raises FileNotFoundError."""
        with _told(may_be_missing=True):
            return bytes(obstore.get(self._store, name).bytes())

    def names(self, prefix: str) -> list[str]:
        """Names of all objects below a prefix such as `a/b`."""
        with _told():
            pages = obstore.list(self._store, prefix, chunk_size=_LISTED_AT_ONCE)
            return [str(entry["path"]) for page in pages for entry in page]

    def delete(self, names: Sequence[str]) -> None:
        """Deletes objects; those that are gone already are passed over."""
        if self._folder is None:
            for start in range(0, len(names), _LISTED_AT_ONCE):
                with _told():
                    obstore.delete(self._store, list(names[start : start + _LISTED_AT_ONCE]))
            return
        for name in names:
            for path in (self._folder / name, self._folder / f"{name}{_UNFINISHED}"):
                path.unlink(missing_ok=True)
            step("an object is removed")

    def clear(self, prefix: str) -> int:
        """Deletes all objects below a prefix; returns how many there were."""
        names = self.names(prefix)
        if self._folder is None:
            self.delete(names)
        else:
            shutil.rmtree(self._folder / prefix, ignore_errors=not names)
        return len(names)


@contextmanager
def _told(*, may_be_missing: bool = False) -> Iterator[None]:
    """Failures as OSError, and in the log. A bucket that does not exist is one, an object that does not need not be."""
    try:
        yield
    except Exception as error:  # obstore raises a class of its own per kind of failure
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


def _synced(path: Path) -> None:
    """obstore renames a finished file into its place; this makes both durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    sync_directory(path.parent)
    sync_directory(path.parent.parent)
