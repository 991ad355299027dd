"""Who made a call that another process of this server forwards: address, certificate, and whether it was counted.

It travels in the metadata of the call over the internal socket, which only this user can open. The same names are
dropped from what clients send, so that a client cannot pretend to be another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from service.calls.context import REQUEST_ID_KEY

_SENDER = "afterimage-sender-bin"
_PREFIX = "afterimage-"
_OF_TRANSPORT = ("user-agent", "grpc-", "te", "content-type", ":")
Metadata = tuple[tuple[str, str | bytes], ...]


class Sender(NamedTuple):
    """The client of a forwarded call, and how this process has named the call.

    - `peer`: its address, in gRPC's notation.
    - `certificate_names`: names of its client certificate.
    - `request_id`: of the call, in the logs of both processes.
    - `judged`: the process that forwards the call has counted it.
    """

    peer: str
    request_id: str
    certificate_names: tuple[str, ...] = ()
    judged: bool = False


def forwarded_metadata(sent: Iterable[Any], sender: Sender) -> Metadata:
    """The metadata of a call as it is forwarded. `sent`: what the client sent."""
    dropped = (_PREFIX, REQUEST_ID_KEY, *_OF_TRANSPORT)
    kept = tuple((name, value) for name, value in sent if not name.startswith(dropped))
    return (*kept, (REQUEST_ID_KEY, sender.request_id), (_SENDER, json.dumps(sender._asdict()).encode()))


def sender_of(metadata: Iterable[Any]) -> Sender:
    """Who made a forwarded call. Raises ValueError if the metadata does not say."""
    for name, value in metadata:
        if name == _SENDER:
            told = json.loads(value)
            return Sender(told["peer"], told["request_id"], tuple(told["certificate_names"]), told["judged"])
    raise ValueError("a forwarded call must say who made it")
