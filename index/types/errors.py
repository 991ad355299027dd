"""Errors of the index.

AfterimageIndexError
├── InvalidInput              a value breaks a documented rule; `field` names it
│   └── FilterSyntaxError     a filter does not parse; `column` is 1-based
├── AnswerTooLarge            what was asked for takes more bytes than the caller wants to have
├── RecordExists              insert-only met an id that exists
├── RecordNotFound            a patch or a query names an id that does not exist
├── CollectionExists
├── CollectionNotFound
├── QuotaExceeded             the tenant may not store more; `what` is records or bytes
├── DigestMoved               the record changed between look-up and write; encode and try again
├── DirectoryLocked           another process owns the data directory
├── WrongKey                  the key does not open the file
├── DataFault                a file of the data directory is missing, empty, older than it must be, or another's
├── UnsupportedFormat         written by a newer version
├── StoreUnavailable          the disk refused a read or a write; nothing of a write was acknowledged
│   ├── StoreDamaged          pages of a database fail their checks; `index verify` names them
│   └── OutcomeUnknown        the disk failed at the commit: the write may stand after the next opening
├── SavedSearchNotFound       no saved search has this name, or no such version
├── SavedSearchExists
├── SavedSearchMoved          the saved search is not in the version that the change was meant for
├── SnapshotNotFound          no kept snapshot has this id
└── SnapshotDamaged           a snapshot failed its checks; a derived one is set aside and rebuilt
"""

from __future__ import annotations

from pathlib import Path


class AfterimageIndexError(Exception):
    """Base of all errors of the index."""


class InvalidInput(AfterimageIndexError):
    """A value breaks a documented rule. `field` names it, as the API does."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class FilterSyntaxError(InvalidInput):
    """A filter does not parse. `column` counts from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__("filter", f"{message} (column {column})")
        self.column = column


class AnswerTooLarge(AfterimageIndexError):
    """What was asked for takes more bytes than the caller wants to have."""


class RecordExists(AfterimageIndexError):
    """Insert-only met a record id that exists."""


class RecordNotFound(AfterimageIndexError):
    """No record has this id."""


class CollectionExists(AfterimageIndexError):
    """A collection of this name exists."""


class CollectionNotFound(AfterimageIndexError):
    """No collection has this name."""


class QuotaExceeded(AfterimageIndexError):
    """The tenant may not store more. `what` says of what: records, bytes, collections or saved_searches."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


class DigestMoved(AfterimageIndexError):
    """The record is no longer the one whose vector was to be kept: encode again and write again."""


class StaleEpoch(AfterimageIndexError):
    """A later run has taken over the collection: this one must not write any more."""


class DirectoryLocked(AfterimageIndexError):
    """Another process owns the data directory."""


class WrongKey(AfterimageIndexError):
    """The key does not open the file, or the file is not a database."""


class DataFault(AfterimageIndexError):
    """A file of the data directory is missing, empty, damaged, older than it must be, or belongs elsewhere. Its tenant
    is not served. path: the file; problem: what is wrong, as the end of a sentence that begins with the file's name.
    alone: the damage is within a collection's database, so that the others are served."""

    def __init__(self, path: Path, problem: str, *, alone: bool = False) -> None:
        super().__init__(
            f"{path} {problem}; run `afterimage doctor` for details, `afterimage doctor --repair` to repair it"
        )
        self.path, self.problem, self.alone = path, problem, alone


class UnsupportedFormat(AfterimageIndexError):
    """The file was written by a newer version of this program."""


class StoreUnavailable(AfterimageIndexError):
    """The disk refused. Nothing of a write was acknowledged; unless this is OutcomeUnknown nothing was stored."""


class WrittenElsewhere(StoreUnavailable):
    """This process only follows what another one writes, and cannot write itself."""

    def __init__(self) -> None:
        super().__init__("this process only reads; another one writes")


class StoreDamaged(StoreUnavailable):
    """A database has pages that fail their checks. The text says what to do."""


class OutcomeUnknown(StoreUnavailable):
    """The disk failed while a write was made durable: the write may be there after the next opening, or not."""


class SavedSearchNotFound(AfterimageIndexError):
    """No saved search has this name, or it has no such version."""


class SavedSearchExists(AfterimageIndexError):
    """A saved search of this name exists."""


class SavedSearchMoved(AfterimageIndexError):
    """The saved search was changed since the caller read it."""


class SnapshotNotFound(AfterimageIndexError):
    """No kept snapshot has this id."""


class SnapshotDamaged(AfterimageIndexError):
    """A snapshot failed its checks."""
