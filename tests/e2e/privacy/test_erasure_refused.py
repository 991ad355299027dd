"""Object storage fails during an erasure: the intent stays.

A repetition finishes it and gets the receipt, and so does the server by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterimage.client import AuditAct, Client, NewExample, NewRecord, NotFound, Unavailable, audit_acts
from service.erasure.receipts import Receipt, is_genuine
from tests.support.data.pictures import png
from tests.support.servers.s3_gate import Gate, gated_s3
from tests.support.servers.server import Server, start_server

COPY = "ENCRYPTED_COPY"


@pytest.fixture
def gate() -> Iterator[Gate]:
    with gated_s3() as made:
        yield made


@pytest.fixture
def refused(gate: Gate, tmp_path: Path) -> Iterator[tuple[Server, Client, str]]:
    server = start_server(tmp_path, environment=gate.bucket.settings)
    key = server.key("acme")
    with server.client(key) as client:
        yield server, client, key
    assert server.stop() == 0


def furnish(client: Client) -> None:
    """Creates a collection, records, pictures under another policy, and a training set, each with two objects."""
    for name in ("whole", "some", "policy"):
        client.create_collection(name, picture_policy=COPY)
        client.insert(name, [NewRecord(str(n), image=png(n)) for n in range(2)])
    client.create_training_set("set")
    list(client.add_examples("set", [NewExample(str(n), "label", image=png(n)) for n in range(2)]))


ERASURES: dict[str, Callable[[Client], object]] = {
    "collection": lambda c: c.erase_collection("whole"),
    "records": lambda c: c.erase_records("some", record_ids=["0", "1"]),
    "pictures": lambda c: c.set_picture_policy("policy", "DISCARD", force=True).receipt,
    "training set": lambda c: c.delete_training_set("set", force=True).receipt,
}


def acts(client: Client) -> list[AuditAct]:
    """Audit entries, except intervals of writes, which are open for minutes."""
    return [a for a in audit_acts(client.list_audit_entries(0, 1000)) if not a.action.endswith(".write")]


def erasures(client: Client) -> list[tuple[str, int]]:
    """Finished erasures in the audit log: what, and how many."""
    done = [a for a in acts(client) if a.action == "erasure" and a.outcome == "done"]
    return sorted((str(a.details["what"]), int(a.details["records"])) for a in done)


def checked(receipt: object) -> tuple[str, int]:
    said = vars(receipt)
    assert is_genuine(Receipt(**said))
    return said["what"], said["records"]


def test_a_repetition_finishes_what_the_storage_refused_and_gets_the_receipt(
    refused: tuple[Server, Client, str], gate: Gate
) -> None:
    _, client, _ = refused
    furnish(client)
    assert len(gate.bucket.names()) == 8
    gate.refusing = True
    for _ in range(2):  # a repetition does not lose it either
        for erase in ERASURES.values():
            with pytest.raises(Unavailable):
                erase(client)
    assert len(gate.bucket.names()) == 8
    assert erasures(client) == []
    gate.refusing = False
    receipts = {what: checked(erase(client)) for what, erase in ERASURES.items()}
    assert receipts == {what: (what, 2) for what in ERASURES}
    assert gate.bucket.names() == []
    assert erasures(client) == sorted(receipts.values())
    assert not [a for a in acts(client) if a.outcome in ("open", "unknown")]
    for what in ("collection", "training set"):
        with pytest.raises(NotFound):
            ERASURES[what](client)


def test_a_restart_finishes_them_and_whoever_asks_again_gets_the_receipts(gate: Gate, tmp_path: Path) -> None:
    server = start_server(tmp_path, environment=gate.bucket.settings)
    key = server.key("acme")
    with server.client(key) as client:
        furnish(client)
        gate.refusing = True
        for erase in ERASURES.values():
            with pytest.raises(Unavailable):
                erase(client)
    server.kill()
    gate.refusing = False
    again = start_server(tmp_path, environment=gate.bucket.settings)
    with again.client(key) as client:
        deadline = time.monotonic() + 60
        while len(erasures(client)) < 4:
            assert time.monotonic() < deadline, acts(client)
            threading.Event().wait(0.1)
        assert gate.bucket.names() == []
        assert not [a for a in acts(client) if a.outcome in ("open", "unknown")]
        receipts = {what: checked(erase(client)) for what, erase in ERASURES.items()}
        assert receipts == {what: (what, 2) for what in ERASURES}
        assert len(erasures(client)) == 4  # nothing was erased a second time
        with pytest.raises(NotFound):
            client.erase_collection("whole")
    assert again.stop() == 0


def test_a_deletion_that_did_not_begin_is_reported_as_such_after_a_kill(gate: Gate, tmp_path: Path) -> None:
    """Between intent and change there is nothing to finish."""
    server = start_server(tmp_path, environment=gate.bucket.settings)
    key = server.key("acme")
    with server.client(key) as client:
        client.create_collection("c", picture_policy=COPY)
        gate.refusing = True
        client.insert("c", [NewRecord("1", image=png(1))])
        with pytest.raises(Unavailable):
            client.erase_collection("c")
        client.create_collection("c")  # another one of that name is not taken for it
        client.insert("c", [NewRecord("1", image=png(1))])
        gate.refusing = False
        assert checked(client.erase_collection("c")) == ("collection", 1)
        assert checked(client.erase_collection("c")) == ("collection", 1)  # the first one's, which is finished now
        with pytest.raises(NotFound):
            client.erase_collection("c")
        assert gate.bucket.names() == []
    assert server.stop() == 0
