"""Access of the operator to a tenant's data: requested with a reason, granted by the tenant, limited to hours.

States: pending → approved → over (after at most four hours) or revoked; pending → declined, or lapsed after a week.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.tenancy.apikeys import Scope, key_id_of
from service.tenancy.database import RegistryDatabase, TenancyError
from service.tenancy.keyring import CLOCKS_DIFFER_MS, KeyRing
from service.tenancy.stored_keys import NewKey

MAX_MINUTES = 240
LAPSES_MS = 7 * 86_400_000
# Never `admin`: it would let the operator approve the next request.
GRANTABLE = frozenset(Scope) - {Scope.ADMIN}
_COLUMNS = "request_id, tenant_uid, reason, scopes, minutes, state, requested_ms, decided_ms, key_id"


@dataclass(frozen=True)
class WantedAccess:
    """A request of an operator. `minutes`: 1 to 240, from the approval."""

    reason: str
    scopes: frozenset[Scope]
    minutes: int


@dataclass(frozen=True)
class AccessRequest:
    """The state of a request.

    Times are milliseconds since 1970, or 0 if not yet set. `key_id`: of the token, once it was fetched.
    """

    request_id: str
    tenant_uid: str
    reason: str
    scopes: frozenset[Scope]
    minutes: int
    stored_state: str
    requested_ms: int
    decided_ms: int
    key_id: str

    @property
    def ends_ms(self) -> int:
        """When an approved access ends, in milliseconds since 1970."""
        return self.decided_ms + self.minutes * 60_000 if self.decided_ms else 0

    @property
    def state(self) -> str:
        """pending, approved, declined, revoked, over or lapsed.

        If the clock was set back, an approval may lie in the future. Such an access would last longer than granted, so
        it is over.
        """
        now = now_ms()
        if self.stored_state == "approved" and not self.decided_ms - CLOCKS_DIFFER_MS <= now < self.ends_ms:
            return "over"
        if self.stored_state == "pending" and self.requested_ms + LAPSES_MS <= now_ms():
            return "lapsed"
        return self.stored_state


class AccessRequests:
    """All methods are thread-safe."""

    def __init__(self, database: RegistryDatabase, keys: KeyRing) -> None:
        self._database, self._keys = database, keys

    def ask(self, tenant_uid: str, wanted: WantedAccess) -> AccessRequest:
        """Requests access to a tenant. Raises TenancyError if the request is not valid."""
        if not wanted.reason.strip() or len(wanted.reason) > 500:
            raise TenancyError("the reason must have 1 to 500 characters")
        if not wanted.scopes or not wanted.scopes <= GRANTABLE:
            raise TenancyError(f"scopes must be among {', '.join(sorted(GRANTABLE))}")
        if not 1 <= wanted.minutes <= MAX_MINUTES:
            raise TenancyError(f"minutes must be 1 to {MAX_MINUTES}")
        request_id = secrets.token_hex(8)
        self._database.change(
            "INSERT INTO access_requests VALUES (?, ?, ?, ?, ?, 'pending', ?, 0, '')",
            (request_id, tenant_uid, wanted.reason, ",".join(sorted(wanted.scopes)), wanted.minutes, now_ms()),
        )
        return self.one(tenant_uid, request_id)

    def of(self, tenant_uid: str) -> list[AccessRequest]:
        """All requests to a tenant, newest first."""
        query = f"SELECT {_COLUMNS} FROM access_requests WHERE tenant_uid = ? ORDER BY requested_ms DESC, rowid DESC"  # noqa: S608
        return [_request(row) for row in self._database.rows(query, (tenant_uid,))]

    def one(self, tenant_uid: str, request_id: str) -> AccessRequest:
        """One request to this tenant. Raises ServiceError (ACCESS_NOT_FOUND)."""
        found = next((r for r in self.of(tenant_uid) if r.request_id == request_id), None)
        if found is None:
            raise ServiceError(Reason.ACCESS_NOT_FOUND, f"no access request {request_id[:80]!r}", field="request_id")
        return found

    def decide(self, tenant_uid: str, request_id: str, *, approved: bool) -> AccessRequest:
        """Stores the tenant's decision. Raises ServiceError (ACCESS_NOT_FOUND, ACCESS_NOT_WAITING)."""
        with self._database.transaction():
            self._expect(tenant_uid, request_id, "pending")
            self._database.change(
                "UPDATE access_requests SET state = ?, decided_ms = ? WHERE request_id = ?",
                ("approved" if approved else "declined", now_ms(), request_id),
            )
        return self.one(tenant_uid, request_id)

    def revoke(self, tenant_uid: str, request_id: str) -> AccessRequest:
        """Ends an approved access. Its token is refused from the next call on. Raises ServiceError."""
        with self._database.transaction():
            found = self._expect(tenant_uid, request_id, "approved")
            self._database.change("UPDATE access_requests SET state = 'revoked' WHERE request_id = ?", (request_id,))
            if found.key_id:
                self._keys.revoke(tenant_uid, found.key_id)
        return self.one(tenant_uid, request_id)

    def token(self, tenant_uid: str, request_id: str) -> str:
        """Returns a key for an approved access in plain text, once. Raises ServiceError."""
        with self._database.transaction():
            found = self._expect(tenant_uid, request_id, "approved")
            if found.key_id:
                raise ServiceError(Reason.ACCESS_NOT_WAITING, "the token of this access was already fetched")
            key = self._keys.create(tenant_uid, NewKey(found.scopes, found.ends_ms, access_id=request_id))
            self._database.change(
                "UPDATE access_requests SET key_id = ? WHERE request_id = ?", (key_id_of(key), request_id)
            )
        return key

    def _expect(self, tenant_uid: str, request_id: str, state: str) -> AccessRequest:
        found = self.one(tenant_uid, request_id)
        if found.state != state:
            raise ServiceError(Reason.ACCESS_NOT_WAITING, f"the access is {found.state}, not {state}")
        return found


def _request(row: tuple[object, ...]) -> AccessRequest:
    scopes = frozenset(Scope(s) for s in str(row[3]).split(","))
    return AccessRequest(str(row[0]), str(row[1]), str(row[2]), scopes, *row[4:])  # type: ignore[arg-type]
