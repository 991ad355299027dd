"""Files and bytes: encryption, SQLite connections and pages, durable files, the lock, the names of files.

Nothing here knows what a record or a vector is. A new way to store bytes durably goes here.
The service keeps its own databases and files through these functions.
"""

from index.storage.crypto import KEY_BYTES, decrypt_file, derive_key, encrypt_file
from index.storage.durable_files import (
    rename,
    replace_file,
    set_aside,
    sync_directory,
    synced_file,
    write_synced,
)
from index.storage.page_format import NEWEST_PAGE_FORMAT
from index.storage.raw_pages import plain_pages
from index.storage.regular_files import read_regular
from index.storage.sqlite import (
    Connection,
    DatabaseError,
    DatabaseLock,
    backup,
    checkpoint,
    connect,
    file_error,
    file_errors,
    integrity_problems,
    library_versions,
    migrate,
    set_format,
    statements,
)
from index.storage.steps import step
from index.storage.wal_header import WalHeader

__all__ = [
    "KEY_BYTES",
    "NEWEST_PAGE_FORMAT",
    "Connection",
    "DatabaseError",
    "DatabaseLock",
    "WalHeader",
    "backup",
    "checkpoint",
    "connect",
    "decrypt_file",
    "derive_key",
    "encrypt_file",
    "file_error",
    "file_errors",
    "integrity_problems",
    "library_versions",
    "migrate",
    "plain_pages",
    "read_regular",
    "rename",
    "replace_file",
    "set_aside",
    "set_format",
    "statements",
    "step",
    "sync_directory",
    "synced_file",
    "write_synced",
]  # fmt: skip
