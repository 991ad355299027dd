"""Audited reads: who read what how often and by which fields, never by which values."""

from __future__ import annotations

import json
from pathlib import Path

from afterimage.client import NewRecord, Term, audit_acts
from tests.support.servers.server import start_server
from tests.support.servers.shell import Shell

VECTOR = [1.0] + [0.0] * 383


def test_reads_are_reported_by_fields_and_counts_once_they_are_asked_for(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    key = server.key("acme")
    shell = Shell(server, "acme", tmp_path / "state")
    with server.client(key) as client:
        client.create_collection("shoes")
        client.insert("shoes", [NewRecord("1", vector=VECTOR, attributes={"color": "secretly-red", "price": 5})])
        client.search("shoes", Term(vector=VECTOR), k=1)  # not told: it is off
        assert shell.json("audit", "reads")["every_minutes"] == 0
        assert shell.json("audit", "reads", "--every", "15")["every_minutes"] == 15
        for _ in range(3):
            client.search("shoes", Term(vector=VECTOR), k=1, filter='color = "secretly-red" AND price < 50')
        client.count_records("shoes", filter='color = "secretly-red"')
        client.get_records("shoes", ["1"])
        assert shell.json("audit", "verify")["problems"] == []
    assert server.stop() == 0
    again = start_server(tmp_path)
    with again.client(key) as client:
        entries = client.list_audit_entries(0, 1000)
        told = [a for a in audit_acts(entries) if a.action in ("reads", "records.write", "audit.reads")]
        assert {(a.action, a.outcome) for a in told} == {
            ("reads", "done"), ("records.write", "done"), ("audit.reads", "done"),
        }  # fmt: skip
        reads = sorted((str(a.details["call"]), str(a.details["fields"]), a.details["calls"]) for a in told[2:])
        assert reads == [("CountRecords", "color", 1), ("GetRecords", "", 1), ("Search", "color,price", 3)]
        assert told[0].details == {"collection": "shoes", "created": 1, "updated": 0}
        assert "secretly" not in json.dumps([e.details for e in entries])
    assert again.stop() == 0
