"""Tables of other programs: the result of each row, and no row is lost."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.collections.pictures import PictureFile, plan_insert, read_table
from service.cli.collections.tables.attribute_values import attributes_of, column_kind, id_text
from service.cli.collections.tables.record_tables import read_rows
from service.cli.output import CommandError

ROWS = 'url,record_id,Farbe\nhttps://a.example/1.jpg,1,grün\nhttps://a.example/1.jpg,2,"rot; blau"\n'


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def facts(rows: list[PictureFile]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(r.record_id, r.url, dict(r.attributes)) for r in rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_csv_is_read_whatever_wrote_it(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    cells = [line.split(",") for line in ROWS.replace('"', "").strip().split("\n")]
    quoted = [[f'"{c}"' if delimiter in c else c for c in row] for row in cells]
    content = end.join(delimiter.join(row) for row in quoted) + end
    rows = plan_insert([], written(tmp_path, content.encode(encoding)))
    url = "https://a.example/1.jpg"
    assert facts(rows) == [("1", url, {"farbe": "grün"}), ("2", url, {"farbe": "rot; blau"})]


def test_what_excel_says_of_the_separator_is_heeded(tmp_path: Path) -> None:
    rows = plan_insert([], written(tmp_path, "sep=;\r\nURL;Record ID;Note, long\r\nhttps://a.example/1,2;x;y\r\n"))
    assert facts(rows) == [("x", "https://a.example/1,2", {"note_long": "y"})]


def test_two_rows_with_one_file_or_url_are_two_records(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    table = written(tmp_path, "file,record_id,price\na.jpg,r10,5\na.jpg,r11,6\n")
    for paths in ([], [tmp_path / "a.jpg"]):
        assert [(r.record_id, r.attributes["price"]) for r in plan_insert(paths, table)] == [("r10", 5.0), ("r11", 6.0)]


def test_ids_that_are_given_twice_are_reported_with_their_lines(tmp_path: Path) -> None:
    table = written(tmp_path, "url,record_id\nhttps://a/1,x\nhttps://a/2,y\nhttps://a/1,x\nhttps://a/3,y\n")
    with pytest.raises(CommandError) as caught:
        plan_insert([], table)
    assert "line 2 (https://a/1) and line 4 (https://a/1) have the same record id 'x'" in str(caught.value)
    assert "line 3" in str(caught.value)
    assert "line 5" in str(caught.value)


def test_urls_of_a_table_are_inserted_beside_files_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    table = written(tmp_path, "file,url,record_id\na.jpg,,f\n,https://a.example/1,u\n")
    assert [r.record_id for r in plan_insert([tmp_path / "a.jpg"], table)] == ["f", "u"]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("n", ["1", "2.5", "-3", "0", ".99", ""], "number"), ("n", ["007", "8"], "text"), ("n", ["1", "01234"], "text"),
        ("n", ["1e5"], "text"), ("n", ["+49"], "text"), ("n", ["1,5"], "text"), ("n", ["12345678901234567890"], "text"),
        ("n", ["0.50"], "number"), ("n", ["00.5"], "text"), ("n", ["1."], "text"), ("n", ["."], "text"),
        ("n", ["-"], "text"),
        ("n", ["١"], "text"), ("n", ["nan"], "text"), ("n", ["1 000"], "text"), ("n", ["123456789012345"], "number"),
        ("sku", ["12"], "text"), ("gtin", ["4006381333931"], "text"), ("brand_id", ["5"], "text"), ("n", [""], "text"),
        ("b", ["true", "false", ""], "boolean"), ("b", ["true", "1"], "text"), ("tags[]", ["1"], "list"),
    ],
)  # fmt: skip
def test_a_column_is_of_numbers_only_where_no_cell_would_change(name: str, cells: list[str], kind: str) -> None:
    assert column_kind(name, cells) == kind


@given(st.lists(st.text("0123456789", min_size=1, max_size=20), min_size=1))
def test_no_digit_of_a_code_is_lost(cells: list[str]) -> None:
    if column_kind("n", cells) == "number":
        assert [str(int(float(c))) for c in cells] == cells


def test_columns_that_are_repeated_hold_lists_or_several_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "b.jpg").write_bytes(b"x")
    table = written(
        tmp_path, "file,file,record_id,Color,color,tags[],tags[]\na.jpg,b.jpg,r,red,blue,x|y,z\na.jpg,,s,red,,,\n"
    )
    rows = plan_insert([], table)
    assert [(r.record_id, r.path.name) for r in rows] == [("r", "a.jpg"), ("r#2", "b.jpg"), ("s", "a.jpg")]
    assert rows[0].attributes == rows[1].attributes == {"color": ("red", "blue"), "tags": ("x", "y", "z")}
    assert rows[2].attributes == {"color": ("red",)}


BAD_ROWS = {
    '"never closed,1,x': ("quote", "has 1 cells"), "https://a/8,8,x,y,z": ("has 5 cells",),
    ",9,x": ("neither a file nor a url",), f"https://a/{'a' * (1 << 20)},10,x": ("too long",),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_that_goes_wrong_costs_itself_alone(tmp_path: Path, bad: str, place: int) -> None:
    lines = ["https://a/1,1,x", 'https://a/2,2,"two\nlines"']
    table = written(tmp_path, "\n".join(["url,record_id,note", *lines[:place], bad, *lines[place:], ""]))
    rows = read_table(table)
    assert [(r.record_id, r.attributes) for r in rows if not r.trouble] == [
        ("1", {"note": "x"}), ("2", {"note": "two\nlines"}),
    ]  # fmt: skip
    (trouble,) = [r.trouble for r in rows if r.trouble]
    assert any(word in trouble for word in BAD_ROWS[bad])
    assert f"line {[2, 3, 5][place]} " in trouble


def test_json_lines_keep_their_types_and_all_digits(tmp_path: Path) -> None:
    lines = [
        '{"url": "https://a/1", "record_id": 1610521604143693812, "price": 9.90, "sku": "007", "new": true, "a": null}',
        '{"url": ["https://a/2", "https://a/3"], "record_id": "m", "tags": ["x", null, 5], "big": 1610521604143693813}',
        '{"url": "https://a/4", "url": "https://a/5", "record_id": 7.50, "attributes": {"Colour": "red"}, '
        '"color": "a", "color": "b"}',
        "", "not json", '{"url": "https://a/6", "bad": {"a": 1}}', '{"record_id": "x"}', '["no object"]',
        '{"url": {"a": 1}}',
        '{"url": "https://a/7", "note": "\\ud800"}', '{"url": "https://a/8", "record_id": true}', "[" * 100_000,
    ]  # fmt: skip
    rows = read_table(written(tmp_path, "\n".join(lines), "t.jsonl"))
    assert facts([r for r in rows if not r.trouble]) == [
        ("1610521604143693812", "https://a/1", {"price": 9.9, "sku": "007", "new": True}),
        ("m", "https://a/2", {"tags": ("x", "5"), "big": "1610521604143693813"}),
        ("m#2", "https://a/3", {"tags": ("x", "5"), "big": "1610521604143693813"}),
        ("7.50", "https://a/4", {"colour": "red", "color": ("a", "b")}),
        ("7.50#2", "https://a/5", {"colour": "red", "color": ("a", "b")}),
    ]
    assert [r.line for r in rows if r.trouble] == [5, 6, 7, 8, 9, 10, 11, 12]
    array = written(tmp_path, json.dumps([{"url": "https://a/1", "record_id": 1}, 5]), "t.json")
    assert [(r.record_id, bool(r.trouble)) for r in read_table(array)] == [("1", False), ("", True)]


def test_a_table_may_be_parquet(tmp_path: Path) -> None:
    columns = {
        "url": ["https://a/1", None],
        "record_id": pa.array([1, 2], pa.int64()),
        "price": [Decimal("9.90"), None],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    first, second = read_table(tmp_path / "t.parquet")
    assert facts([first]) == [("1", "https://a/1", {"price": 9.9})]
    assert "neither" in second.trouble


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (7.0, "7"), (1610521604143693812, "1610521604143693812"), ("007", "007"), (None, ""), (b"x", "x"),
     (Decimal("1.50"), "1.50"), (date(2026, 1, 2), "2026-01-02")],
)  # fmt: skip
def test_an_id_is_text_as_it_was_written(value: object, text: str) -> None:
    assert id_text(value) == text


@pytest.mark.parametrize("value", [True, [1], {"a": 1}, float("nan"), float("inf"), b"\xff", "\ud800"])
def test_what_is_no_id_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        id_text(value)


@pytest.mark.parametrize(
    ("value", "made"),
    [(None, None), (float("nan"), None), ("", None), (5, 5.0), (1 << 60, str(1 << 60)), (Decimal("1.25"), 1.25),
     (Decimal("1.2345678901234567"), "1.2345678901234567"), (date(2026, 1, 2), "2026-01-02"),
     (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"), (["a", None, 1, True], ("a", "1", "true")),
     (False, False)],
)  # fmt: skip
def test_each_type_has_its_answer_as_an_attribute(value: object, made: object) -> None:
    assert attributes_of({"a": value}) == ({} if made is None else {"a": made})


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]], [{}], float("inf"), b"\xff", object()])
def test_what_is_no_attribute_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r"^colour "):
        attributes_of({"colour": value})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + bytes(60), "Excel workbook or another zip archive; export the table as CSV"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(60), "Excel workbook; export the table as CSV"),
        (b"\x1f\x8b\x08" + bytes(60), "gzip; unpack it first"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html></html>", "XML or a web page"),
    ],
    ids=["xlsx", "xls", "gzip", "page"],
)
def test_a_file_that_is_no_table_is_refused_by_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "products.csv"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=said):
        read_rows(path)
