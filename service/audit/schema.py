"""Tables of `audit.db`, and the triggers that refuse to change or delete an entry."""

MIGRATIONS = (
    """
    CREATE TABLE entries (number INTEGER PRIMARY KEY, told TEXT NOT NULL, digest TEXT NOT NULL);
    CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER, digest TEXT, time_ms INTEGER,
      signature TEXT)
    """,
    """
    CREATE TABLE open_acts (number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, actor TEXT NOT NULL,
      action TEXT NOT NULL, details TEXT NOT NULL, owner TEXT NOT NULL, resume TEXT NOT NULL);
    CREATE TABLE receipts (number INTEGER PRIMARY KEY, what TEXT NOT NULL, place TEXT NOT NULL, subjects TEXT NOT NULL,
      told TEXT NOT NULL)
    """,
    """
    CREATE TABLE idempotency_keys (key BLOB PRIMARY KEY, request BLOB NOT NULL, state TEXT NOT NULL,
      number INTEGER NOT NULL UNIQUE, time_ms INTEGER NOT NULL, answer BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX idempotency_keys_by_time ON idempotency_keys (time_ms)
    """,
)
# Created at each opening, because the files of earlier versions may lack them.
GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS no_{kind.lower()} BEFORE {kind} ON entries"
    " BEGIN SELECT RAISE(ABORT, 'an audit log can only be added to'); END"
    for kind in ("UPDATE", "DELETE")
)
