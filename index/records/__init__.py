"""The truth: the SQLite database of a collection, its transactions, group commit, catalog and backups.

Every change of a record goes through here and is durable when it returns. Nothing here knows FAISS or search.
"""
