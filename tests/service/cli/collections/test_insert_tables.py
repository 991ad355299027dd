from pathlib import Path

import pytest

from service.cli.collections.journal import Journal
from service.cli.collections.pictures import plan_insert
from service.cli.output import CommandError
from tests.support.data.pictures import png

URL = "https://cdn.shop.example/a/1.jpg?size=l"


def table(folder: Path, text: str) -> Path:
    path = folder / "products.csv"
    path.write_text(text)
    return path


def test_a_table_names_pictures_by_url_and_they_need_no_file(tmp_path: Path) -> None:
    rows = f"url,record_id,product_id,price\n{URL},1,p1,9.5\nhttps://cdn.shop.example/a/2.jpg,,p2,\n"
    first, second = plan_insert([], table(tmp_path, rows))
    assert (first.url, first.record_id, first.product_id, first.attributes) == (URL, "1", "p1", {"price": 9.5})
    assert (str(first), second.record_id, second.attributes) == (URL, "2", {})


def test_a_table_may_mix_files_and_urls(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png(1))
    planned = plan_insert([], table(tmp_path, f"file,url,record_id\nb.png,,b\n,{URL},u\n"))
    assert [(p.record_id, p.url, p.path.name == "b.png") for p in planned] == [("b", "", True), ("u", URL, False)]


def test_a_file_that_is_missing_and_an_id_given_twice_are_reported_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        plan_insert([], table(tmp_path, "file\nnone.png\n"))
    with pytest.raises(CommandError, match="same record id"):
        plan_insert([], table(tmp_path, "url,record_id\nhttps://a.example/1,x\nhttps://a.example/2,x\n"))
    with pytest.raises(CommandError, match="`file` or `url`"):
        plan_insert([], table(tmp_path, "picture\nx.jpg\n"))


def test_an_interrupted_insert_remembers_urls_too(tmp_path: Path) -> None:
    first, second = plan_insert([], table(tmp_path, f"url,record_id\n{URL},1\nhttps://a.example/2,2\n"))
    Journal(tmp_path, "one").add(first)
    again = Journal(tmp_path, "one")
    assert again.has(first)
    assert not again.has(second)
    assert URL not in "".join(p.read_text() for p in (tmp_path / "inserts").iterdir())
