"""A method of the API: its row in the table of methods, joined with its RPC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from types import ModuleType

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from service.calls.auditing.reads import Reads
from service.calls.auditing.rule import AuditRule
from service.tenancy.apikeys import Scope


class Kind(Enum):
    """Whether requests and responses are streams."""

    UNARY = (False, False)
    SERVER_STREAM = (False, True)
    CLIENT_STREAM = (True, False)
    BIDIRECTIONAL = (True, True)

    @property
    def streams_requests(self) -> bool:
        """Whether a call has any number of requests."""
        return self.value[0]

    @property
    def streams_responses(self) -> bool:
        """Whether a call has any number of responses."""
        return self.value[1]


class Caller(Enum):
    """Callers of methods that need no scope."""

    ANY_KEY = "any valid key"
    WORKER = "a worker on another machine, with the server's worker_secret; no API key"


class Effect(Enum):
    """What a call does to the tenant's data, in the terms of RFC 9110."""

    SAFE = "changes nothing"
    IDEMPOTENT = "changes something; a second call changes nothing more"
    NOT_IDEMPOTENT = "changes something; a second call fails, or changes more"


class Deadline(Enum):
    """Kinds of deadlines."""

    LIMITED = "default_deadline_s where the caller sets none, and max_deadline_s at most"
    OPEN = "as long as the caller waits: streams, and work that grows with a collection"


class Share(Enum):
    """Which limit a call counts against."""

    CALLS = "calls"
    STREAMS = "streams"


@dataclass(frozen=True)
class Row:
    """What the proto does not define of a method.

    - `caller`: the required scope, or the kind of caller.
    - `audit`: the rule for the tenant's audit log; None: not recorded.
    - `reads`: returns the collections and filters that a call reads, for tenants that record reads.
    """

    name: str
    caller: Scope | Caller
    effect: Effect = Effect.SAFE
    deadline: Deadline = Deadline.LIMITED
    audit: AuditRule | None = None
    reads: Reads | None = None


@dataclass(frozen=True)
class Method:
    """A row, joined with its RPC. `path`: in gRPC's notation, `/afterimage.v1.SearchService/Search`."""

    path: str
    kind: Kind
    request: type[Message]
    response: type[Message]
    row: Row

    @property
    def name(self) -> str:
        """Name without the package: `SearchService/Search`."""
        return self.path.rpartition(".")[2]

    @property
    def service(self) -> str:
        """Full name of the service: `afterimage.v1.SearchService`."""
        return self.path.split("/")[1]

    @property
    def share(self) -> Share:
        """The limit that a call counts against: streams have their own, because they last long."""
        return Share.CALLS if self.kind is Kind.UNARY else Share.STREAMS

    @property
    def changes(self) -> bool:
        """Whether a call may change something."""
        return self.row.effect is not Effect.SAFE


def methods_of(module: ModuleType, *rows: Row) -> list[Method]:
    """Returns the methods of the service in a protobuf module. Raises LookupError unless rows and RPCs match."""
    (service,) = module.DESCRIPTOR.services_by_name.values()
    by_name = {row.name: row for row in rows}
    if len(by_name) != len(rows):
        raise LookupError(f"{service.full_name} has two rows of one name")
    if differing := by_name.keys() ^ {rpc.name for rpc in service.methods}:
        raise LookupError(f"{service.full_name}: RPCs and rows of the table differ: {', '.join(sorted(differing))}")
    return [_method(rpc, by_name[rpc.name]) for rpc in service.methods]


def _method(rpc: MethodDescriptor, row: Row) -> Method:
    return Method(
        f"/{rpc.containing_service.full_name}/{rpc.name}",
        Kind((rpc.client_streaming, rpc.server_streaming)),
        GetMessageClass(rpc.input_type),
        GetMessageClass(rpc.output_type),
        row,
    )


def by_path(*services: Iterable[Method]) -> dict[str, Method]:
    """Returns the methods of all services by path."""
    return {method.path: method for methods in services for method in methods}
