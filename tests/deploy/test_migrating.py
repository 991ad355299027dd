"""The commands and programs of docs/migrating.md, with the real databases and clients."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterimage.client import Client, NewRecord
from tests.support.data.pictures import png
from tests.support.needs import missing
from tests.support.pages import commands
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING, Shop

PAGE = "migrating.md"
PACKAGES = (
    "qdrant-client==1.16.2", "pymilvus==3.0.2", "milvus-lite==3.2.2", "pgserver==0.1.4", "psycopg[binary]==3.3.9",
    "pyarrow==26.0.1",
)  # fmt: skip
RECORDS = 25
# Fills each database with the same records.
FILL = """
import os, random, sys
random.seed(1)
def vector(n): return [random.Random(n * 1000 + i).gauss(0, 1) for i in range(512)]
rows = [(n, vector(n), f"shoe {n}", n + 0.5) for n in range(RECORDS)]

from qdrant_client import QdrantClient, models
client = QdrantClient(path="qdrant")
client.create_collection("products", models.VectorParams(size=512, distance=models.Distance.COSINE))
client.upsert("products", [models.PointStruct(id=n, vector=v, payload={"title": t, "price": p}) for n, v, t, p in rows])
client.close()

from pymilvus import MilvusClient
client = MilvusClient("milvus.db")
client.create_collection("products", dimension=512, metric_type="COSINE")
client.insert("products", [{"id": n, "vector": v, "title": t, "price": p} for n, v, t, p in rows])
client.close()

import pgserver, psycopg
server = pgserver.get_server("postgres", cleanup_mode=None)
with psycopg.connect(server.get_uri(), autocommit=True) as db:
    db.execute("CREATE EXTENSION vector")
    db.execute("CREATE TABLE products (id int, embedding vector(512), title text, price float)")
    for n, v, t, p in rows:
        db.execute("INSERT INTO products VALUES (%s, %s, %s, %s)", (n, str(v), t, p))
print(server.get_uri(), os.path.join(os.path.dirname(pgserver.__file__), "pginstall", "bin"))
""".replace("RECORDS", str(RECORDS))
STOP = "import pgserver; pgserver.get_server('postgres', cleanup_mode='stop').cleanup()"


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the clients of the other databases."""
    folder = tmp_path_factory.mktemp("others")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary=:all:", *PACKAGES]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=500)
    if done.returncode:
        missing("a package registry with clients of other databases", f"pip install {' '.join(PACKAGES)}")
    return folder / "bin" / "python"


class Page:
    """Runs the blocks below a heading in order: those in bash and those in Python."""

    def __init__(self, folder: Path, shell: Shell) -> None:
        self.folder, self.environment = folder, dict(shell.environment)
        programs = folder / "programs"
        programs.mkdir()
        (programs / "afterimage").write_text(f'#!/bin/sh\nexec {sys.executable} -m service.cli.main "$@"\n')
        (programs / "afterimage").chmod(0o755)
        root = Path(__file__).parents[2]
        self.environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": f"{root}:{root / 'proto'}"}

    def run(self, heading: str, python: Path | str = sys.executable, **replaced: str) -> str:
        said = ""
        for language, block in blocks(heading):
            for old, new in replaced.items():
                block = block.replace(PLACES[old], new)
            program = ["bash", "-euo", "pipefail", "-c", block] if language == "bash" else [str(python), "-c", block]
            environment = (
                self.environment if language == "bash" or python == sys.executable else plain(self.environment)
            )
            done = subprocess.run(
                program, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
            )
            assert done.returncode == 0, f"{block}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
            said += done.stdout
        return said


PLACES = {
    "qdrant": '"http://localhost:6333"', "milvus": '"http://localhost:19530"', "ximilar": "resource_name=None",
}  # fmt: skip


def plain(environment: dict[str, str]) -> dict[str, str]:
    return {n: v for n, v in environment.items() if n != "PYTHONPATH"}


def blocks(heading: str) -> Iterator[tuple[str, str]]:
    """The blocks of both languages in their order on the page."""
    found = [(lang, block) for lang in ("bash", "python") for block in commands(PAGE, heading, lang)]
    text = (Path(__file__).parents[2] / "docs" / PAGE).read_text()
    return iter(sorted(found, key=lambda pair: text.index(f"```{pair[0]}\n{pair[1]}```")))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Server, Shell]]:
    """A server with the encoder that the page makes."""
    for block in commands(PAGE, "Vectors"):
        subprocess.run(["bash", "-euc", block], cwd=tmp_path, check=True, timeout=60)
    server = start_server(
        tmp_path, "--encoders-dir", str(tmp_path / "encoders"),
        environment={**FETCHING, "AFTERIMAGE_XIMILAR_DOOR": "true"},
    )  # fmt: skip
    yield server, Shell(server, "acme", tmp_path / "state")
    assert server.stop() == 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_catalogues_of_other_services_are_copied_as_the_page_says(
    served: tuple[Server, Shell], other_python: Path, shop: Shop, tmp_path: Path
) -> None:
    server, shell = served
    page = Page(tmp_path, shell)
    (tmp_path / "photos").mkdir()
    for n in range(3):
        (tmp_path / "photos" / f"{n}.png").write_bytes(png(n))
    (tmp_path / "photos.csv").write_text(
        "file,product_id,color\n" + "".join(f"photos/{n}.png,p{n},red\n" for n in range(3))
    )
    page.run("From a folder of pictures")

    shop.pictures = {f"/{n}.png": png(n) for n in range(3)}
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        fill_ximilar(client, shop)
        page.environment |= {"XIMILAR_TOKEN": shell.environment["AFTERIMAGE_API_KEY"], "XIMILAR_COLLECTION": "theirs"}
        endpoint = f'endpoint="http://{server.http}/ximilar/similarity/photos/v2/", resource_name=None'
        page.run("From Ximilar", ximilar=endpoint)
        documents = [{"_id": str(n), "image": f"{shop.address}/{n}.png", "color": "red"} for n in range(3)]
        (tmp_path / "marqo.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
        page.run("From Marqo")
        for name in ("folder", "ximilar", "marqo"):
            assert client.count_records(name) == 3
            hit = client.search(name, png(1), k=1, filter='color = "red"').hits[0]
            assert (hit.record_id, hit.attributes["color"]) == ("1", "red"), name

        filled = subprocess.run(
            [other_python, "-c", FILL], cwd=tmp_path, env=plain(page.environment), capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        assert filled.returncode == 0, filled.stderr[-3000:]
        page.environment["DATABASE_URL"], programs = filled.stdout.split()[-2:]
        page.environment["PATH"] += f":{programs}"
        try:
            page.run("From Qdrant", other_python, qdrant='path="qdrant"')
            page.run("From Milvus", other_python, milvus='"milvus.db"')
            page.run("From pgvector", other_python)
        finally:
            subprocess.run(
                [other_python, "-c", STOP], cwd=tmp_path, env=plain(page.environment), check=True, timeout=60
            )
        counted = page.run("Check")
        assert len(re.findall(rf"^{RECORDS}\b", counted, re.MULTILINE)) == 3, counted
        for name in ("qdrant", "milvus", "pgvector"):
            (record,) = [r for r in client.records(name) if r.record_id == "7"]
            assert (record.attributes["title"], record.attributes["price"]) == ("shoe 7", 7.5), name


def fill_ximilar(client: Client, shop: Shop) -> None:
    """A collection whose pictures have URLs; Afterimage itself serves it by Ximilar's API."""
    client.create_collection("theirs", picture_policy="REFERENCE")
    records = [NewRecord(str(n), url=f"{shop.address}/{n}.png", attributes={"color": "red"}) for n in range(3)]
    assert [r.error for r in client.insert("theirs", records)] == [None] * 3
