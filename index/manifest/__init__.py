"""`manifest.db` of a tenant: what must exist in its directory, in which version, and how a start compares the two.

Here belongs what detects missing, older or exchanged files. What repairs them is in `index.tenant`.
"""
