"""Foreign Parquet files: every bad value fails its record alone, with a reason."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afterimage.client import Client, NewRecord
from service.cli.collections.journal import ImportPlace
from service.cli.collections.tables.parquet import BadRow, ParquetImport
from service.cli.output import CommandError
from tests.support.data.pictures import png
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell

VECTOR = [0.5, 0.25]
WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
sys.argv = ["afterimage", "insert", "shoes", "--records", sys.argv[1]]
from service.cli.main import run
run()
"""


def read(folder: Path, **columns: Any) -> list[NewRecord | BadRow]:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns), path)
    return list(ParquetImport(path).records())


def test_every_type_of_id_is_text(tmp_path: Path) -> None:
    ids: list[tuple[pa.Array, list[str]]] = [
        (pa.array([1610521604143693812, 2]), ["1610521604143693812", "2"]),
        (pa.array(["007", "8"], pa.large_string()), ["007", "8"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([1.0, 2.5]), ["1", "2.5"]),
        (pa.array([b"x", b"y"]), ["x", "y"]),
    ]
    for column, texts in ids:
        found = read(tmp_path, record_id=column, product_id=column, vector=[VECTOR, VECTOR])
        assert [(r.record_id, r.product_id) for r in found if isinstance(r, NewRecord)] == [(t, t) for t in texts]


def test_a_bad_value_fails_its_record_alone(tmp_path: Path) -> None:
    vectors = [VECTOR, None, [None, 1.0], VECTOR, VECTOR, VECTOR, VECTOR, VECTOR]
    attributes = ['{"a": 1, "b": null}', "", "{}", "{", "[1]", '{"a": {"b": 1}}', None, '{"a": "\\ud800"}']
    ids = ["p0", "p1", "p2", "p3", "p4", "p5", "p0", "p7"]
    found = read(tmp_path, record_id=ids, vector=vectors, attributes=attributes)
    assert isinstance(found[0], NewRecord)
    assert found[0].attributes == {"a": 1.0}
    told = [(r.number, r.record_id, r.message.split(":")[0]) for r in found if isinstance(r, BadRow)]
    assert [(n, i) for n, i, _ in told] == [(2, "p1"), (3, "p2"), (4, "p3"), (5, "p4"), (6, "p5"), (7, "p0"), (8, "p7")]
    for (_, _, message), part in zip(
        told,
        ["missing", "null at index 0", "", "not an object", "a is a struct", "earlier row", "Unicode"],
        strict=True,
    ):
        assert part in message


def test_structs_maps_and_other_columns_are_attributes(tmp_path: Path) -> None:
    struct = pa.array([{"color": "red", "price": 1.5}, {"color": None, "price": None}])
    both = ["1", "2"]
    first, second = read(tmp_path, record_id=both, vector=[VECTOR, VECTOR], attributes=struct)
    assert isinstance(first, NewRecord)
    assert isinstance(second, NewRecord)
    assert (first.attributes, second.attributes) == ({"color": "red", "price": 1.5}, {})
    mapped = pa.array([[("a", "x")], None], pa.map_(pa.string(), pa.string()))
    others = {
        "price": [Decimal("9.90"), None], "sold": [True, False], "at": [datetime(2026, 1, 2, tzinfo=UTC)] * 2,
        "tags": [["a", None], []], "__index_level_0__": [0, 1],
    }  # fmt: skip
    first, _ = read(tmp_path, record_id=both, vector=[VECTOR, VECTOR], attributes=mapped, **others)
    assert isinstance(first, NewRecord)
    assert first.attributes == {"a": "x", "price": 9.9, "sold": True, "at": "2026-01-02T00:00:00Z", "tags": ("a",)}


def test_text_that_is_none_costs_its_row_alone(tmp_path: Path) -> None:
    raw = pa.array([b"a", b"\xff", b"c"])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    found = read(tmp_path, record_id=text, vector=[VECTOR] * 3)
    assert [isinstance(r, NewRecord) for r in found] == [True, False, True]


def test_a_real_server_stores_all_but_the_bad_rows(
    server: Server, shell: Shell, client: Client, tmp_path: Path
) -> None:
    dimension = client.create_collection("shop").dimension
    good = np.eye(4, dimension, dtype=np.float32)
    vectors: list[object] = [*good.tolist(), [None] * dimension, [1.0]]
    columns = {"record_id": pa.array(range(6)), "vector": pa.array(vectors, pa.list_(pa.float32()))}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    told = shell.json("import", "shop", str(tmp_path / "t.parquet"), code=3)
    assert (told["total"], told["created"], told["failed"]) == (6, 4, 2)
    assert {f["record_id"] for f in told["failures"]} == {"4", "5"}
    (tmp_path / "a.png").write_bytes(png(1))
    table = tmp_path / "t.csv"
    table.write_text('file;record_id;sku;price\na.png;r1;007;5\na.png;r2;8;6.5\n"a.png;r3;9;7\n')
    told = shell.json("insert", "shop", "--records", str(table), code=3)
    assert (told["total"], told["created"], told["failed"]) == (3, 2, 1)
    stored = {r.record_id: r.attributes for r in client.records("shop") if r.record_id in ("r1", "r2")}
    assert stored == {"r1": {"sku": "007", "price": 5.0}, "r2": {"sku": "8", "price": 6.5}}


@pytest.mark.parametrize("trouble", [ValueError("no such shop"), RuntimeError("gone")])
def test_what_the_callers_records_raise_reaches_the_caller(client: Client, trouble: Exception) -> None:
    dimension = client.create_collection("c").dimension

    def records() -> Any:
        yield NewRecord("1", vector=[1.0] * dimension)
        raise trouble

    with pytest.raises(type(trouble), match=str(trouble)):
        list(client.import_records("c", records()))


def test_columns_with_other_names_are_fields_by_a_map(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    payload = pa.array([{"color": "red"}, {"color": "blue"}])
    columns = {"id": [1, 2], "embedding": [VECTOR, VECTOR], "payload": payload, "vector": [9, 9], "group": ["a", "b"]}
    pq.write_table(pa.table(columns), path)
    names = {"record_id": "id", "vector": "embedding", "attributes": "payload", "product_id": "group"}
    first, _ = ParquetImport(path, names=names).records()
    assert isinstance(first, NewRecord)
    assert (first.record_id, first.product_id, first.attributes) == ("1", "a", {"color": "red"})
    with pytest.raises(CommandError, match=r"has no column nothing, vector; it has id, embedding.*--map vector=COLUMN"):
        ParquetImport(with_columns(path, id=["1"], embedding=[VECTOR]), names={"record_id": "nothing"})


def with_columns(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        (["[0.5, 0.25]", "[0.5,x]", "0.5"], 2),
        ([np.array(VECTOR, "<f4").tobytes(), b"abc", b""], 2),
        ([np.array(VECTOR, np.float16)] * 3, 0),
        (pa.array([VECTOR] * 3, pa.list_(pa.float64(), 2)), 0),
        ([[True, False]] * 3, 3),
    ],
    ids=["text", "bytes", "float16", "float64", "booleans"],
)
def test_vectors_come_as_lists_text_or_bytes(tmp_path: Path, column: Any, bad: int) -> None:
    found = read(tmp_path, record_id=["1", "2", "3"], vector=column)
    assert len([r for r in found if isinstance(r, BadRow)]) == bad
    if bad < 3:
        assert isinstance(found[0], NewRecord)
        assert found[0].vector == np.array(VECTOR, "<f4").tobytes()


def test_an_interrupted_import_goes_on_where_it_was(tmp_path: Path, server: Server, tenant_name: str) -> None:
    shell = Shell(server, tenant_name, tmp_path / "state")
    path = tmp_path / "t.parquet"
    vectors = np.random.default_rng(1).normal(size=(30, 384)).astype(np.float32)
    pq.write_table(pa.table({"id": range(30), "vector": list(vectors)}), path)
    place = ImportPlace(tmp_path / "state" / "afterimage", "shoes", server.target, path)
    place.note(20)
    said = shell.json("import", "shoes", str(path), "--map", "record_id=id")
    assert (said["skipped"], said["created"]) == (20, 10)
    assert place.rows() == 0
    said = shell.json("import", "shoes", str(path), "--map", "record_id=id")
    assert (said["created"], said["unchanged"]) == (20, 10)
    place.note(20)
    said = shell.json("import", "shoes", str(path), "--map", "record_id=id", "--no-resume")
    assert said["unchanged"] == 30
    place.note(20)
    pq.write_table(pa.table({"id": range(31), "vector": [*vectors, vectors[0]]}), path)
    assert shell.json("import", "shoes", str(path), "--map", "record_id=id")["created"] == 1  # it is another file
    for wrong in ("id=x", "record_id", "record_id="):
        assert "pass FIELD=COLUMN" in shell.done("import", "shoes", str(path), "--map", wrong).stderr


def test_without_pyarrow_a_command_names_the_extra(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    table.write_bytes(b"PAR1")
    command = [sys.executable, "-Pc", WITHOUT_PYARROW, str(table)]
    environment = {"AFTERIMAGE_TARGET": "127.0.0.1:1", "AFTERIMAGE_API_KEY": "af_live_none"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "pip install 'afterimage-server[parquet]'" in done.stderr
    assert "Traceback" not in done.stderr
