"""Commands of operators: serve, worker, doctor, tenants, keys, audit, access, erasure.

Most work on a data directory, whether or not a server runs on it.
"""
