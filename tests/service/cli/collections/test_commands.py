import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.cli.collections.pictures import find_files, plan_insert
from service.cli.output import CommandError
from tests.support.data.pictures import encode, noise
from tests.support.servers.shell import Shell


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for n in range(6):
        where = folder / "more" if n > 3 else folder
        (where / f"img{n}.jpg").write_bytes(encode(noise(n), "JPEG", quality=95))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_shop_from_first_command_to_last(shell: Shell, photos: Path, tmp_path: Path) -> None:
    assert shell.json("collections", "create", "shop")["name"] == "shop"
    table = photos / "records.csv"
    table.write_text("file,record_id,product_id,color,price,in_stock,tags[]\n"
                     "img0.jpg,a,p1,red,10,true,new|gift\nimg1.jpg,,p1,blue,20,false,\n")  # fmt: skip
    counts = shell.json("insert", "shop", str(photos), "--records", str(table))
    assert (counts["total"], counts["created"], counts["failed"]) == (6, 6, 0)
    assert shell.json("records", "count", "shop")["record_count"] == 6
    assert shell.json("records", "get", "shop", "a")["records"][0]["attributes"] == {
        "color": "red", "price": 10.0, "in_stock": True, "tags": ["new", "gift"],
    }  # fmt: skip
    sheet = tmp_path / "sheet.png"
    found = shell.json("search", "shop", str(photos / "img0.jpg"), "-k", "3", "--sheet", str(sheet))
    assert found["hits"][0].keys() == {"record_id", "product_id", "score", "distance", "likeness", "attributes"}
    assert (found["hits"][0]["record_id"], found["hits"][0]["distance"] < 1e-3) == ("a", True)
    assert Image.open(sheet).size[0] > 400
    by_colour = shell.json(
        "search", "shop", str(photos / "img0.jpg"), "--emphasis", "colour=5", "--emphasis", "shape=0"
    )
    assert by_colour["hits"][0]["distance"] < 0.01
    filtered = shell.json("search", "shop", "--id", "a", "-k", "5", "--filter", "price < 50")
    assert [h["record_id"] for h in filtered["hits"]] == ["img1"]
    grouped = shell.json("search", "shop", str(photos / "img1.jpg"), "--group-by", "product_id")
    assert grouped["groups"][0]["product_id"] == "p1"
    assert "a" in shell.run("search", "shop", str(photos / "img0.jpg"))
    assert (
        shell.json("records", "update", "shop", "a", "--set", "price=12.5", "--remove", "color")["outcome"] == "updated"
    )
    assert shell.json("records", "list", "shop", "--filter", "price = 12.5")["records"][0]["record_id"] == "a"
    dearest = shell.json("records", "list", "shop", "--order-by", "price desc", "--limit", "1")["records"]
    assert dearest[0]["record_id"] == "img1"
    sorted_ = ["search", "shop", "--id", "img3", "--order-by", "price", "--facet", "price[15]", "--facet", "in_stock"]
    by_price = shell.json(*sorted_)
    assert [h["record_id"] for h in by_price["hits"]][:2] == ["a", "img1"]
    assert by_price["facets"][0]["counts"][0] == {"value": {"low": None, "high": 15.0}, "count": 1}
    assert "..15" in shell.run(*sorted_)
    boosted = [
        "search",
        "shop",
        "--id",
        "img3",
        "--boost",
        "0.9 price:linear:20:5:more",
        "--boost",
        "0.2 in_stock = true",
    ]
    best = shell.json(*boosted)["hits"][0]
    assert (best["record_id"], [round(b, 3) for b in best["boosts"]]) == ("img1", [0.9, 0.0])
    assert shell.run("search", "shop", "--id", "img3", "--boost", "much", code=2) == ""
    judged = tmp_path / "judged.csv"
    judged.write_text("query,relevant\nimg3,a\nimg3,img1\n")
    sides = ["compare", "shop", "shop", str(photos / "img3.jpg"), "--id", "a", "-k", "3", "--second"]
    compared = shell.json(*sides, 'filter=color = "red" OR color = "blue"', "--judged", str(judged))
    assert [q["query"] for q in compared["queries"]] == ["img3", "a"]
    assert (compared["queries"][0]["second_precision"], compared["mean"]["second_precision"]) == (1.0, 1.0)
    assert "mean" in shell.run(*sides, "exact=true")
    assert shell.run(*sides, "exact=maybe", code=2) == ""
    sample = shell.json("records", "sample", "shop", "3", "--seed", "7")
    assert (len(sample["records"]), sample["allowed_count"], sample["seed"]) == (3, 6, 7)
    assert "--seed 7" in shell.run("records", "sample", "shop", "3", "--seed", "7")
    only = shell.json("search", "shop", "--id", "a", "--only", "img3", "--only", "img5")
    assert {h["record_id"] for h in only["hits"]} == {"img3", "img5"}
    first = shell.json("search", "shop", str(photos / "img3.jpg"), "--exclude", "img3", "--with-search-id")
    assert {h["record_id"] for h in first["hits"]} == {"a", "img1", "img2", "img4", "img5"}
    again = shell.json("search", "shop", "--search-id", first["search_id"], "-k", "1")
    assert [h["record_id"] for h in again["hits"]] == ["img3"]
    assert shell.run("search", "shop", "--id", "a", "--search-id", first["search_id"], code=2) == ""
    assert "search id, valid for an hour: " in shell.run("search", "shop", "--id", "a", "--with-search-id")
    assert shell.json("records", "pictures", "shop", "a", code=3)["links"][0]["error"]["reason"] == "PICTURE_NOT_FOUND"
    assert shell.json("records", "delete", "shop", "a")["deleted"] is False
    assert shell.json("records", "delete", "shop", "a", "--force")["record_count"] == 1
    assert shell.json("collections", "update", "shop", "--description", "x")["description"] == "x"
    assert shell.json("collections", "get", "shop")["record_count"] == 5
    assert [c["name"] for c in shell.json("collections", "list")["collections"]] == ["shop"]
    assert shell.json("collections", "delete", "shop")["deleted"] is False
    assert shell.json("collections", "delete", "shop", "--force")["deleted"] is True


def test_an_insert_with_a_bad_file_does_the_others_and_exits_3(shell: Shell, photos: Path) -> None:
    (photos / "img2.jpg").write_bytes(b"broken")
    shell.run("collections", "create", "shop")
    lines = [json.loads(line) for line in shell.run("insert", "shop", str(photos), "--json", code=3).splitlines()]
    assert (lines[0]["created"], lines[0]["failed"]) == (5, 1)
    assert [(f["record_id"], f["reason"]) for f in lines[1:]] == [("img2", "IMAGE_FORMAT_UNSUPPORTED")]
    assert "IMAGE_FORMAT_UNSUPPORTED" in shell.run("insert", "shop", str(photos), code=3)


def test_an_insert_goes_on_where_it_stopped(shell: Shell, photos: Path) -> None:
    shell.run("collections", "create", "shop")
    (photos / "img2.jpg").write_bytes(b"broken")
    shell.run("insert", "shop", str(photos), code=3)
    (photos / "img2.jpg").write_bytes(encode(noise(2), "JPEG"))
    again = shell.json("insert", "shop", str(photos))
    assert (again["skipped"], again["created"]) == (5, 1)
    whole = shell.json("insert", "shop", str(photos))
    assert (whole["skipped"], whole["unchanged"]) == (0, 6)


def test_operators_commands_work_beside_a_running_server(shell: Shell, tenant_name: str) -> None:
    name = f"{tenant_name}-made"
    assert shell.json("tenants", "create", name, *shell.data)["name"] == name
    key = shell.json("keys", "create", name, "--scopes", "search", *shell.data)["api_key"]
    shell.environment["AFTERIMAGE_API_KEY"] = key
    assert shell.json("collections", "list") == {"collections": []}
    assert shell.json("keys", "list", name, *shell.data)["keys"][0]["scopes"] == ["search"]
    assert shell.json("keys", "revoke", name, key, *shell.data)["revoked"]
    assert shell.json("collections", "list", code=1)["error"]["reason"] == "KEY_REVOKED"
    assert shell.json("tenants", "delete", name, *shell.data)["deleted"] is True
    assert name not in [t["name"] for t in shell.json("tenants", "list", *shell.data)["tenants"]]


def test_operators_commands_work_without_a_server(shell: Shell, tmp_path: Path) -> None:
    data = ["--data-dir", str(tmp_path / "fresh")]
    shell.run("tenants", "create", "acme", *data)
    assert shell.run("keys", "create", "acme", *data).startswith("af_live_")
    assert (tmp_path / "fresh.master-key").stat().st_mode & 0o777 == 0o600
    assert shell.json("tenants", "delete", "acme", *data)["files_removed"] is True


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["search", "nowhere", "--id", "1"], 1),
        (["search", "nowhere"], 2),
        (["insert", "nowhere"], 2),
        (["insert", "nowhere", "/no/such/file"], 2),
        (["records", "delete", "nowhere"], 2),
        (["no-such-command"], 2),
        (["search", "c", "--region", "1,2", "/dev/null"], 2),
        (["search", "c", "--emphasis", "colour", "/dev/null"], 2),
        (["tenants", "create", "Bad Name", "--data-dir", "d"], 1),
        (["keys", "create", "nobody", "--scopes", "fly", "--data-dir", "d"], 2),
        (["serve", "--listen", "0.0.0.0:1", "--data-dir", "d"], 1),
    ],
)
def test_exit_codes_tell_failure_from_wrong_usage(
    shell: Shell, arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell.run(*arguments, code=code) == ""


def test_a_server_that_is_not_there_is_said_so_with_what_to_check(shell: Shell) -> None:
    failure = shell.json("collections", "list", "--target", "127.0.0.1:1", code=1)["error"]
    assert failure["reason"] == "UNAVAILABLE"
    assert "check that the server is running" in failure["message"]


def test_encoders_are_listed_shown_and_run_without_a_server(shell: Shell, photos: Path, tmp_path: Path) -> None:
    shell.environment.pop("AFTERIMAGE_API_KEY")
    assert shell.json("encoders", "list")["encoders"][0]["id"] == "builtin"
    assert shell.json("encoders", "show", "builtin")["manifest"]["license"] == "Apache-2.0"
    out = tmp_path / "vectors.npy"
    files = [str(photos / "img1.jpg"), str(photos / "notes.txt"), str(photos / "img0.jpg"), str(photos / "img1.jpg")]
    facts = shell.json("encoders", "run", *files, "--out", str(out), code=3)
    vectors = np.load(out)
    assert (facts["failed"], vectors.shape, vectors.dtype) == (1, (4, 384), np.float32)
    assert np.isnan(vectors[1]).all()
    assert np.allclose(vectors[0], vectors[3], atol=1e-5)
    assert float(vectors[0] @ vectors[2]) < 0.99


def test_doctor_shows_settings_versions_and_checks(shell: Shell, tmp_path: Path) -> None:
    facts = shell.json("doctor", "--data-dir", str(tmp_path / "none"))
    assert facts["settings"]["listen"] == {"value": "127.0.0.1:50051", "origin": "default"}
    assert facts["settings"]["data_dir"]["origin"] == "flag"
    assert {c["state"] for c in facts["checks"]} <= {"ok", "warning"}
    assert facts["versions"]["faiss-cpu"]
    assert "encoders" in shell.run("doctor", *shell.data)
    bad = shell.json("doctor", "--encoders-dir", str(tmp_path / "missing"), code=1)
    assert next(c for c in bad["checks"] if c["name"] == "encoders")["state"] == "failed"


def test_files_are_found_in_order_and_clashing_ids_are_refused(photos: Path) -> None:
    assert [p.name for p in find_files([photos])] == [f"img{n}.jpg" for n in range(6)]
    (photos / "more" / "img0.png").write_bytes(b"x")
    with pytest.raises(CommandError, match="same record id 'img0'"):
        plan_insert([photos], None)


def test_a_table_alone_names_its_files(photos: Path) -> None:
    table = photos / "t.csv"
    table.write_text("file,sku,weight\nimg0.jpg,007,1.5\nmore/img4.jpg,X9,\n")
    planned = plan_insert([], table)
    assert [(p.record_id, dict(p.attributes)) for p in planned] == [
        ("img0", {"sku": "007", "weight": 1.5}),
        ("img4", {"sku": "X9"}),
    ]
    table.write_text("name\nx\n")
    with pytest.raises(CommandError, match="column `file`"):
        plan_insert([], table)
    table.write_text("file\nabsent.jpg\n")
    with pytest.raises(CommandError, match="does not exist"):
        plan_insert([], table)
