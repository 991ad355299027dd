"""API keys in the registry: created, bound to certificates, listed, rotated, revoked."""

from __future__ import annotations

from dataclasses import dataclass

from service.runtime.clock import now_ms
from service.tenancy.apikeys import Scope, key_id_of, new_api_key
from service.tenancy.database import RegistryDatabase, TenancyError


@dataclass(frozen=True)
class NewKey:
    """A key to create.

    - `expires_ms`: when it expires, in milliseconds since 1970; None: never.
    - `max_requests_per_s`: rate limit and burst; 0: only the tenant's limit applies.
    - `access_id`: the operator access to which it belongs.
    """

    scopes: frozenset[Scope]
    expires_ms: int | None = None
    max_requests_per_s: float = 0.0
    access_id: str = ""


@dataclass(frozen=True)
class KeyInfo:
    """Everything about a key except its secret.

    - `used_ms`: time of the last use, accurate to a minute; None: never.
    - `identity`: the name in a client certificate that it represents; empty: it has a secret.
    """

    key_id: str
    scopes: frozenset[Scope]
    created_ms: int
    revoked_ms: int | None
    expires_ms: int | None
    max_requests_per_s: float
    used_ms: int | None
    identity: str = ""

    @property
    def state(self) -> str:
        """ "live", "expired" or "revoked"."""
        if self.revoked_ms is not None:
            return "revoked"
        return "expired" if self.expires_ms is not None and self.expires_ms <= now_ms() else "live"


class StoredKeys:
    """The keys of all tenants in the registry. All methods are thread-safe."""

    def __init__(self, database: RegistryDatabase, pepper: bytes) -> None:
        """`pepper`: the key of the stored digests of secrets."""
        self._database, self._pepper = database, pepper

    def create(self, tenant_uid: str, wanted: NewKey) -> str:
        """Creates a key and returns it in plain text, once. Raises TenancyError."""
        if not wanted.scopes:
            raise TenancyError("a key needs at least one scope")
        key = new_api_key()
        self._database.change(
            "INSERT INTO api_keys (key_id, tenant_uid, digest, scopes, created_ms, expires_ms, max_requests_per_s,"
            " access_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key.key_id, tenant_uid, key.digest(self._pepper), ",".join(sorted(wanted.scopes)), now_ms(),
                wanted.expires_ms, wanted.max_requests_per_s, wanted.access_id,
            ),
        )  # fmt: skip
        return str(key)

    def bind(self, tenant_uid: str, identity: str, wanted: NewKey) -> str:
        """Lets clients with this name in their certificate act for the tenant. Returns the id of a key that
        represents it.

        The secret of that key is discarded. Raises TenancyError if the name is already bound.
        """
        if not identity or identity != identity.strip() or not identity.isprintable():
            raise TenancyError(f"{identity[:80]!r} is not a valid name for a certificate")
        with self._database.transaction():
            bound = self._database.row(
                "SELECT key_id FROM identities JOIN api_keys USING (key_id) WHERE identity = ? AND revoked_ms IS NULL",
                (identity,),
            )
            if bound is not None:
                raise TenancyError(f"{identity!r} is already bound to key {bound[0]}; revoke that first")
            key_id = key_id_of(self.create(tenant_uid, wanted))
            self._database.change("INSERT OR REPLACE INTO identities VALUES (?, ?)", (identity, key_id))
        return key_id

    def of(self, tenant_uid: str) -> list[KeyInfo]:
        """The tenant's keys, oldest first."""
        query = (
            "SELECT key_id, scopes, created_ms, revoked_ms, expires_ms, max_requests_per_s, used_ms,"
            " coalesce(identity, '') FROM api_keys LEFT JOIN identities USING (key_id)"
            " WHERE tenant_uid = ? ORDER BY created_ms"
        )
        return [KeyInfo(r[0], scopes_of(r[1]), *r[2:]) for r in self._database.rows(query, (tenant_uid,))]

    def revoke(self, tenant_uid: str, key_id: str) -> None:
        """Revokes a key. Every process refuses it from its next call on. Raises TenancyError."""
        self._change_key("revoked_ms = coalesce(revoked_ms, ?)", now_ms(), tenant_uid, key_id)

    def rotate(self, tenant_uid: str, key_id: str, until_ms: int) -> str:
        """Creates a key with the same permissions, and limits the old one to `until_ms`.

        Returns the new key in plain text. Raises TenancyError if the old one is not valid.
        """
        old = next((k for k in self.of(tenant_uid) if k.key_id == key_id), None)
        if old is None or old.state != "live":
            raise TenancyError(f"key {key_id[:80]!r} is {old.state if old else 'not one of this tenant'}")
        with self._database.transaction():
            expires_ms = min(until_ms, old.expires_ms or until_ms)
            self._change_key("expires_ms = ?", expires_ms, tenant_uid, key_id)
            return self.create(tenant_uid, NewKey(old.scopes, None, old.max_requests_per_s))

    def _change_key(self, change: str, value: int, tenant_uid: str, key_id: str) -> None:
        statement = f"UPDATE api_keys SET {change} WHERE key_id = ? AND tenant_uid = ?"  # noqa: S608 - no input
        if not self._database.change(statement, (value, key_id, tenant_uid)):
            raise TenancyError(f"the tenant has no key {key_id[:80]!r}")


def scopes_of(text: str) -> frozenset[Scope]:
    """The scopes of a key as the registry stores them."""
    return frozenset(Scope(s) for s in text.split(","))
