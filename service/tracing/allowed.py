"""What a span may contain: names and values from closed sets, and numbers. Everything else is dropped.

Nothing here is a tenant, a collection, a record, a key, a URL, a file name, or text of a caller or of an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from service.errors import Reason

Value = str | int | float | bool
Attributes = Mapping[str, Value]


class Stage(StrEnum):
    """Parts of a call in which its time is spent."""

    FETCH = "fetch"
    QUEUE = "queue"
    DECODE = "decode"
    ENCODE = "encode"
    DETECT = "detect"
    FILTER = "filter"
    SEARCH = "search"
    STORE = "store"
    AUDIT = "audit"


class Door(StrEnum):
    """How a call came in."""

    GRPC = "grpc"
    HTTP = "http"
    EMBEDDINGS = "embeddings"
    XIMILAR = "ximilar"
    IN_PROCESS = "in_process"


class Work(StrEnum):
    """Names of spans that are neither a call nor a stage."""

    RUN = "sync run"
    REMOTE_RUN = "sync run on a worker"
    XIMILAR = "ximilar request"


class Attribute(StrEnum):
    """Names of attributes."""

    SERVICE = "rpc.service"
    METHOD = "rpc.method"
    STATUS = "rpc.grpc.status_code"
    ERROR = "error.type"
    DOOR = "afterimage.transport"
    PATH = "afterimage.path"
    STATE = "afterimage.state"
    ENCODER = "afterimage.encoder_fingerprint"
    COUNT = "afterimage.count"
    BUSY_S = "afterimage.busy_seconds"
    BYTES = "afterimage.bytes"


_NUMBERS = frozenset({Attribute.STATUS, Attribute.COUNT, Attribute.BUSY_S, Attribute.BYTES})
_BUSY, _WAS_CALLED = Attribute.BUSY_S.value, Attribute.COUNT.value


class AllowList:
    """The closed sets. Thread-safe."""

    def __init__(
        self,
        methods: Iterable[str] = (),
        paths: Iterable[str] = (),
        states: Iterable[str] = (),
        fingerprints: Iterable[str] = (),
    ) -> None:
        """Joins what this module lists with names of other rooms.

        - `methods`: such as `/afterimage.v1.SearchService/Search`.
        - `paths`: ways of a search. `states`: of a run.
        - `fingerprints`: of the encoders of the operator, not of tenants.
        """
        split = [method.split("/") for method in methods]
        self.names = frozenset(
            [f"{service.rpartition('.')[2]}/{name}" for _, service, name in split] + [*map(str, (*Stage, *Work))]
        )
        self._values: dict[str, frozenset[str]] = {
            Attribute.SERVICE: frozenset(service for _, service, _ in split),
            Attribute.METHOD: frozenset(name for _, _, name in split),
            Attribute.ERROR: frozenset(Reason.__members__) | {"CANCELLED"},
            Attribute.DOOR: frozenset(map(str, Door)),
            Attribute.PATH: frozenset(paths),
            Attribute.STATE: frozenset(states),
            Attribute.ENCODER: frozenset(fingerprints),
        }

    def allows(self, name: str, value: object) -> bool:
        """Whether a span may have this attribute with this value."""
        if name in _NUMBERS:
            return type(value) in (int, float)
        return isinstance(value, str) and value in self._values.get(name, ())

    def kept(self, attributes: Mapping[str, object] | None) -> dict[str, Value]:
        """Those of the attributes that are allowed."""
        return {n: v for n, v in (attributes or {}).items() if self.allows(n, v)}  # type: ignore[misc]
