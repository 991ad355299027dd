from pathlib import Path

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
    assert "a|b" in shell.run("duplicates", "find", "shop")
    done = shell.json("duplicates", "judge", "shop", "a", "b", "--different")
    assert done["results"][0] == {
        "record_id": "a", "other_record_id": "b", "verdict": "different", "previous": "none", "changed": True,
    }  # fmt: skip
    found = shell.run("duplicates", "find", "shop")
    assert "no duplicates" in found
    assert "0 groups; verdicts left out 1 pairs" in found
    assert "a|b" in shell.run("duplicates", "find", "shop", "--ignore-verdicts")
    shell.run("duplicates", "judge", "shop", "a", "c", "--same")
    assert "Wrote 2 pairs" in shell.run("duplicates", "pairs", "shop", "--csv", str(csv))
    assert csv.read_text().splitlines() == ["record_id,other_record_id,verdict", "a,b,different", "a,c,same_product"]
    assert "2 pairs changed" in shell.run("duplicates", "judge", "copy", "--from", str(csv))
    assert len(shell.json("duplicates", "pairs", "copy", "--verdict", "same")["pairs"]) == 1
    assert "1 pairs changed" in shell.run("duplicates", "judge", "copy", "a", "b", "--withdraw")
    assert "a,b" not in shell.run("duplicates", "pairs", "copy")


def test_feedback_is_given_shown_and_cleared(shell: Shell, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(encode(noise(number)))
    shell.json("collections", "create", "shop")
    shell.json("insert", "shop", str(tmp_path))
    found = shell.json("search", "shop", "--id", "0", "--like", "1", "--dislike", "2")
    assert [h["record_id"] for h in found["hits"]] == ["3"]
    assert shell.json("collections", "update", "shop", "--feedback")["keep_feedback"] is True
    assert shell.json("feedback", "add", "shop", "0", "--like", "1", "--dislike", "2")["kept"] is True
    assert shell.json("feedback", "show", "shop")["contrast"]["count"] == 1
    assert "colour" in shell.run("feedback", "show", "shop")
    assert "would delete" in shell.run("feedback", "clear", "shop")
    assert shell.json("feedback", "clear", "shop", "--force") == {"collection": "shop", "count": 2, "deleted": True}
    assert "no feedback" in shell.run("feedback", "show", "shop")
