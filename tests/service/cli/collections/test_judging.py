import json
from pathlib import Path

from afterimage.client import Client, Term
from tests.support.data.pictures import encode, noise
from tests.support.servers.shell import Shell


def test_duplicates_are_found_judged_listed_and_carried_to_another_collection(shell: Shell, tmp_path: Path) -> None:
    photos, csv = tmp_path / "photos", tmp_path / "pairs.csv"
    photos.mkdir()
    for name, number in (("a", 1), ("b", 1), ("c", 2)):
        (photos / f"{name}.png").write_bytes(encode(noise(number)))
    for name in ("shop", "copy"):
        shell.json("collections", "create", name)
        shell.json("insert", name, str(photos))
    assert _found(shell) == [{"a", "b"}]
    done = shell.json("duplicates", "judge", "shop", "a", "b", "--different")
    assert done["results"][0] == {
        "record_id": "a", "other_record_id": "b", "verdict": "different", "previous": "none", "changed": True,
    }  # fmt: skip
    found = shell.run("duplicates", "find", "shop")
    assert "no duplicates" in found
    assert "0 groups; verdicts left out 1 pairs" in found
    assert _found(shell, "--ignore-verdicts") == [{"a", "b"}]
    shell.run("duplicates", "judge", "shop", "a", "c", "--same")
    assert "Wrote 2 pairs" in shell.run("duplicates", "pairs", "shop", "--csv", str(csv))
    first, *rest = csv.read_text().splitlines()
    assert first == "record_id,other_record_id,verdict"
    assert [{*row.split(",")} for row in rest] == [{"a", "b", "different"}, {"a", "c", "same_product"}]
    assert "2 pairs changed" in shell.run("duplicates", "judge", "copy", "--from", str(csv))
    assert len(shell.json("duplicates", "pairs", "copy", "--verdict", "same")["pairs"]) == 1
    assert "1 pairs changed" in shell.run("duplicates", "judge", "copy", "a", "b", "--withdraw")
    assert len(shell.json("duplicates", "pairs", "copy", "--id", "b")["pairs"]) == 0
    csv.write_text("record_id,other_record_id,verdict\na,b,alike\n")
    for wrong in (["--from", str(csv)], ["--from", "nowhere.csv"], ["a", "--same"], ["a", "b"], []):
        assert shell.done("duplicates", "judge", "shop", *wrong).returncode == 2
    assert shell.done("duplicates", "judge", "shop", "a", "gone", "--same").returncode == 3
    assert shell.done("feedback", "add", "shop", "a").returncode == 2


def _found(shell: Shell, *options: str) -> list[set[str]]:
    lines = shell.run("duplicates", "find", "shop", *options, "--json").splitlines()
    return [set(json.loads(line)["record_ids"]) for line in lines[:-1]]


def test_feedback_is_given_shown_and_cleared(shell: Shell, client: Client, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(encode(noise(number)))
    shell.json("collections", "create", "shop")
    shell.json("insert", "shop", str(tmp_path))
    found = shell.json("search", "shop", "--id", "0", "--like", "1", "--dislike", "2")
    assert [h["record_id"] for h in found["hits"]] == ["3"]
    assert shell.json("collections", "update", "shop", "--feedback")["keep_feedback"] is True
    assert shell.json("feedback", "add", "shop", "0", "--like", "1", "--dislike", "2")["kept"] is True
    assert shell.json("feedback", "show", "shop")["contrast"]["count"] == 1
    picture = ("--picture", str(tmp_path / "3.png"))
    assert "Added." in shell.run("feedback", "add", "shop", *picture, "--like", "1")
    search_id = client.search("shop", Term(record_id="0"), with_search_id=True).search_id
    assert "Added." in shell.run("feedback", "add", "shop", "--search-id", search_id, "--like", "2")
    for wrong in (("0", *picture), (), ("--search-id", search_id, *picture)):
        shell.run("feedback", "add", "shop", *wrong, "--like", "1", code=2)
    assert shell.json("feedback", "show", "shop")["liked"]["count"] == 3
    assert "colour" in shell.run("feedback", "show", "shop")
    assert "would delete" in shell.run("feedback", "clear", "shop")
    assert shell.json("feedback", "clear", "shop", "--force") == {"collection": "shop", "count": 4, "deleted": True}
    assert "no feedback" in shell.run("feedback", "show", "shop")


def test_an_export_has_the_judged_pairs_and_an_import_stores_them(shell: Shell, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        (photos / f"{number}.png").write_bytes(encode(noise(number)))
    shell.json("collections", "create", "shop")
    shell.json("insert", "shop", str(photos))
    shell.run("records", "update", "shop", "3", "--set", "season=old")
    shell.run("duplicates", "judge", "shop", "0", "1", "--different")
    shell.run("duplicates", "judge", "shop", "2", "3", "--same")
    whole, part, key = (str(tmp_path / name) for name in ("whole.parquet", "part.parquet", "key"))
    assert shell.json("export", "shop", whole, "--key-file", key)["judged_pairs"] == 2
    assert "and 1 judged pairs" in shell.run("export", "shop", part, "--filter", 'NOT season = "old"')
    assert shell.json("import", "again", whole, "--key-file", key)["judged_pairs"] == 2
    pairs = shell.json("duplicates", "pairs", "again")["pairs"]
    assert [{p["record_id"], p["other_record_id"], p["verdict"]} for p in pairs] == [
        {"0", "1", "different"}, {"2", "3", "same_product"},
    ]  # fmt: skip
    shell.run("import", "part", part)
    assert len(shell.json("duplicates", "pairs", "part")["pairs"]) == 1
