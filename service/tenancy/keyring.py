"""Authentication of callers by API keys and certificates, with all keys in memory."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from index import StoreUnavailable
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.tenancy.apikeys import Scope, parse_api_key
from service.tenancy.database import RegistryDatabase
from service.tenancy.stored_keys import StoredKeys, scopes_of

_LOG = logging.getLogger(__name__)
CLOCKS_DIFFER_MS = 60_000  # times stored by other processes may be ahead by this much
_MOST_HEADERS = 10_000


@dataclass(frozen=True)
class Principal:
    """The caller of a method: tenant, key id and scopes.

    - `max_requests_per_s`: limit of the tenant; 0: none.
    - `key_requests_per_s`: limit of the key; 0: none.
    - `access_id`: the access that the tenant granted to the operator.
    - `region`: where the tenant's data must be; empty: anywhere.
    - `reads_told_every_minutes`: interval at which the audit log reports reads; 0: never.
    """

    tenant_uid: str
    key_id: str
    scopes: frozenset[Scope]
    max_requests_per_s: float = 0.0
    key_requests_per_s: float = 0.0
    access_id: str = ""
    region: str = ""
    reads_told_every_minutes: int = 0

    @property
    def actor(self) -> str:
        """The name of the caller in the audit log."""
        return f"access:{self.access_id}" if self.access_id else f"key:{self.key_id}"

    def require(self, scope: Scope) -> None:
        """Raises ServiceError (SCOPE_MISSING) unless the key has the scope."""
        if scope not in self.scopes:
            raise ServiceError(Reason.SCOPE_MISSING, f"this call requires the scope `{scope}`")


@dataclass(frozen=True)
class _LoadedKey:
    digest: bytes
    principal: Principal
    revoked: bool
    expires_ms: int | None
    created_ms: int

    def rejection(self, now: int) -> ServiceError | None:
        """Why the key is not accepted; None if it is."""
        if self.revoked:
            return ServiceError(Reason.KEY_REVOKED, "the API key was revoked")
        if self.expires_ms is not None and self.expires_ms <= now:
            return ServiceError(Reason.KEY_EXPIRED, "the API key has expired")
        if self.principal.access_id and self.created_ms > now + CLOCKS_DIFFER_MS:
            message = "the server's clock was set back after this access was granted; request another"
            return ServiceError(Reason.KEY_EXPIRED, message)
        return None


@dataclass(frozen=True)
class _LoadedKeys:
    """All keys as they were read from the registry.

    - `identities`: the ids of bound keys by name in a certificate.
    - `headers`: the ids of keys by digest of headers whose secret was right. Grows; a new reading begins anew.
    """

    keys: Mapping[str, _LoadedKey]
    identities: Mapping[str, str]
    headers: dict[bytes, str] = field(default_factory=dict)


class KeyRing(StoredKeys):
    """Authenticates callers. All methods are thread-safe.

    All keys are in memory, so that authentication does not wait for the database.
    """

    def __init__(self, database: RegistryDatabase, pepper: bytes) -> None:
        """`pepper`: the key of the stored digests of secrets."""
        super().__init__(database, pepper)
        self._lock = threading.Lock()
        self._stamp: int | None = None
        self._header_key = secrets.token_bytes(32)
        self._loaded = _LoadedKeys({}, {})
        self._used: dict[str, int] = {}

    def stale(self) -> bool:
        """Whether this or another process has changed keys since they were read. Never blocks."""
        return self._database.stamp() != self._stamp

    def refresh(self) -> None:
        """Reads the keys again if they have changed. Call it in a thread, because it waits for the database."""
        with self._lock:
            if self.stale():
                self._read()

    def authenticate(self, header: str | None, names: Sequence[str] = ()) -> Principal:
        """As `authenticate_cached`, after reading the keys again if they have changed. May wait for the database."""
        self.refresh()
        return self.authenticate_cached(header, names)

    def authenticate_cached(self, header: str | None, names: Sequence[str] = ()) -> Principal:
        """Authenticates with the keys in memory: by an `authorization` header or, if there is none, by a client
        certificate.

        `names`: those in the certificate. Raises ServiceError (KEY_MISSING, KEY_INVALID, KEY_REVOKED, KEY_EXPIRED).
        """
        if not header and names:
            return self._identified(names)
        if not header:
            raise ServiceError(Reason.KEY_MISSING, "send `authorization: Bearer <API key>`")
        loaded, digest = self._loaded, self._digest_of(header)
        key_id = loaded.headers.get(digest)
        if key_id is None:
            key_id = self._checked(header, loaded)
            if len(loaded.headers) >= _MOST_HEADERS:
                loaded.headers.clear()
            loaded.headers[digest] = key_id
        return self._alive(key_id, loaded.keys[key_id])

    def _digest_of(self, header: str) -> bytes:
        """What a header is remembered by, under a random key of this process: no secret stays in memory."""
        return hashlib.blake2b(header.encode("utf-8", "surrogatepass"), key=self._header_key, digest_size=32).digest()

    def _checked(self, header: str, loaded: _LoadedKeys) -> str:
        """The id of the key in a header. Raises ServiceError (KEY_INVALID) unless its secret is right."""
        scheme, _, text = header.partition(" ")
        key = parse_api_key(text.strip()) if scheme.lower() == "bearer" else None
        entry = loaded.keys.get(key.key_id) if key is not None else None
        if key is None:
            message = "the API key is incomplete; a key starts with af_live_ and must be sent unchanged"
            raise ServiceError(Reason.KEY_INVALID, message)
        if entry is None or not hmac.compare_digest(entry.digest, key.digest(self._pepper)):
            message = (
                "unknown API key: it belongs to another server or data directory, or its tenant was "
                "deleted; check the server's address and the key"
            )
            raise ServiceError(Reason.KEY_INVALID, message)
        return key.key_id

    def _identified(self, names: Sequence[str]) -> Principal:
        loaded = self._loaded
        bound = sorted({loaded.identities[name] for name in names if name in loaded.identities})
        if not bound:
            message = "no name of the certificate is bound to a tenant, and no API key was sent"
            raise ServiceError(Reason.KEY_MISSING, message)
        living = [key_id for key_id in bound if key_id in loaded.keys]
        if not living:  # the names of tenants that earlier versions deleted are still there
            raise ServiceError(Reason.KEY_INVALID, "the tenant of the certificate was deleted")
        if len(living) > 1:
            message = "names of the certificate are bound to several keys; send an API key instead"
            raise ServiceError(Reason.KEY_INVALID, message)
        return self._alive(living[0], loaded.keys[living[0]])

    def _alive(self, key_id: str, entry: _LoadedKey) -> Principal:
        now = now_ms()
        if (rejection := entry.rejection(now)) is not None:
            raise rejection
        self._used[key_id] = now
        return entry.principal

    def lives(self, tenant_uid: str, key_id: str) -> bool:
        """Whether a key of the tenant is valid now."""
        self.refresh()
        entry = self._loaded.keys.get(key_id)
        return entry is not None and entry.principal.tenant_uid == tenant_uid and entry.rejection(now_ms()) is None

    def note_uses(self) -> None:
        """Stores which keys were used since the last call. Call it every minute."""
        used, self._used = self._used, {}
        if used:
            try:
                self._database.note_uses(used)
            except StoreUnavailable as error:
                self._used = {**used, **self._used}
                _LOG.warning("could not store which keys were used: %s", error)

    def _read(self) -> None:
        """Reads all keys. The stamp is read first, so that concurrent changes lead to another read."""
        stamp = self._database.stamp()
        rows = self._database.rows(
            "SELECT key_id, digest, tenant_uid, scopes, revoked_ms, expires_ms, tenants.max_requests_per_s,"
            " api_keys.max_requests_per_s, access_id, region, api_keys.created_ms, reads_told_every_minutes"
            " FROM api_keys JOIN tenants ON uid = tenant_uid"
        )
        identities = self._database.rows("SELECT identity, key_id FROM identities")
        self._loaded = _LoadedKeys({row[0]: _loaded_key(*row) for row in rows}, dict(identities))
        self._stamp = stamp


def _loaded_key(
    key_id: str,
    digest: bytes,
    tenant_uid: str,
    scopes: str,
    revoked_ms: int | None,
    expires_ms: int | None,
    max_requests_per_s: float,
    key_requests_per_s: float,
    access_id: str,
    region: str,
    created_ms: int,
    reads_told_every_minutes: int,
) -> _LoadedKey:
    principal = Principal(
        tenant_uid, key_id, scopes_of(scopes), max_requests_per_s, key_requests_per_s, access_id, region,
        reads_told_every_minutes=reads_told_every_minutes,
    )  # fmt: skip
    return _LoadedKey(bytes(digest), principal, revoked_ms is not None, expires_ms, created_ms)
