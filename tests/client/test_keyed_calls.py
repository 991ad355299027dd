"""The client repeats a call that creates something under one key, if the server takes keys."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from afterimage.client import Client, InvalidArgument, RetryPolicy, Unavailable, idempotency_key
from afterimage.client.calls import create_collection, insert
from afterimage.v1 import collection_service_pb2 as collections_pb
from afterimage.v1 import server_info_service_pb2 as info_pb

POLICY = RetryPolicy(attempts=3, base_s=0.001)


class Failing(grpc.RpcError):
    """UNAVAILABLE, as grpc raises it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "gone"

    def trailing_metadata(self) -> tuple[()]:
        return ()


class Stub:
    """A server that fails a number of times. `keys`: those of the calls it got."""

    def __init__(self, failures: int, *, takes_keys: bool) -> None:
        self.failures, self.takes_keys, self.keys = failures, takes_keys, list[str]()

    def CreateCollection(self, request: Any, **how: Any) -> collections_pb.CreateCollectionResponse:
        self.keys.append(dict(how["metadata"])["idempotency-key"])
        if len(self.keys) <= self.failures:
            raise Failing
        return collections_pb.CreateCollectionResponse(collection=request.collection)

    def GetServerInfo(self, request: Any, **how: Any) -> info_pb.GetServerInfoResponse:
        assert "idempotency-key" not in dict(how["metadata"])
        return info_pb.GetServerInfoResponse(takes_idempotency_keys=self.takes_keys)


def client_of(stub: Stub) -> Client:
    made = Client("127.0.0.1:1", "af_test", retry=POLICY)
    made._stubs = {"CollectionService": stub, "ServerInfoService": stub}
    return made


def test_a_call_is_repeated_under_the_same_key() -> None:
    stub = Stub(2, takes_keys=True)
    with client_of(stub) as client:
        assert client.create_collection("a").name == "a"
        client.create_collection("b")
    assert len(stub.keys) == 4
    assert (len(set(stub.keys)), len(set(stub.keys[:3]))) == (2, 1)


def test_a_server_that_ignores_keys_gets_no_repetition() -> None:
    stub = Stub(1, takes_keys=False)
    with client_of(stub) as client, pytest.raises(Unavailable):
        client.create_collection("a")
    assert len(stub.keys) == 1


def test_keys_of_the_caller_are_numbered_within_their_block() -> None:
    stub = Stub(0, takes_keys=True)
    with client_of(stub) as client:
        for _ in range(2):
            with idempotency_key("order-17"):
                client.create_collection("a")
                client.create_collection("b")
    assert stub.keys == ["order-17", "order-17-2"] * 2


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 241, None])
def test_what_is_no_key_is_refused(key: Any) -> None:
    with pytest.raises(InvalidArgument), idempotency_key(key):
        pass


def test_inserts_have_ids_instead_of_keys() -> None:
    assert create_collection("a").takes_key
    assert not insert("a", [], insert_only=True).takes_key
