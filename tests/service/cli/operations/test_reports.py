import csv
from pathlib import Path

from tests.support.data.pictures import encode, noise
from tests.support.servers.shell import Shell


def test_a_person_maps_records_and_reads_the_reports(shell: Shell, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(4):
        (photos / f"img{n}.jpg").write_bytes(encode(noise(n), "JPEG", quality=95))
    shell.json("collections", "create", "shop")
    shell.json("insert", "shop", str(photos))
    shell.json("records", "update", "shop", "img1", "--set", "color=red")
    found = shell.json("records", "map", "shop", "--attribute", "color", "--seed", "1")
    assert {r["record_id"]: r["value"] for r in found["records"]}["img1"] == "red"
    table = tmp_path / "map.csv"
    shell.run("records", "map", "shop", "--attribute", "color", "--seed", "1", "--out", str(table))
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 4
    assert [r["color"] for r in rows if r["record"] == "img1"] == ["red"]
    assert "No search in the last 30 days." in shell.run("collections", "searches", "shop")
    shell.run("search", "shop", str(photos / "img0.jpg"))
    assert "█" in shell.run("collections", "searches", "shop", "--days", "1")
    assert shell.json("collections", "searches", "shop")["days"][0]["search_count"] == 1
    assert "are not counted" in shell.run("collections", "searches", "shop", "--no-count")
    assert "DISCARD" in shell.run("privacy")
    assert shell.json("privacy")["collections"][0]["record_count"] == 4
    shell.run("duplicates", "judge", "shop", "img0", "img1", "--different")
    assert shell.json("privacy")["collections"][0]["judged_pair_count"] == 1
    assert "judged pairs" in shell.run("privacy")
