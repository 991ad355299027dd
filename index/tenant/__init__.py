"""One tenant's directory: which collections it has, opening, copying and restoring them, inspection and repair.

What concerns a single collection belongs in `index.collection`.
"""

from index.tenant.directory import TenantDirectory

__all__ = ["TenantDirectory"]
