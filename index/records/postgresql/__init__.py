"""Records whose truth is in PostgreSQL: implements `RecordStore` for several servers on one database.

Each server has a copy of the collection in its own encrypted SQLite database, and answers all reads from it. A write
locks the collection in PostgreSQL, brings the copy up to date, runs in the copy, and is acknowledged once the rows that
it changed are committed in PostgreSQL. Other servers apply these rows to their copies. PostgreSQL holds sealed rows:
no id, attribute, vector, or name of a table is in clear there. docs/postgresql.md describes it.

`psycopg` is imported only by `database`, which is imported only where there is a URL.
"""
