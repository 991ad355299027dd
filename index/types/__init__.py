"""Values that cross the rooms of the index: records, queries, answers, attributes, errors, quotas. All are frozen.

No file, no database and no FAISS is touched here. New fields of a record, a query or an answer begin here.
"""
