"""`make run` and `make demo`: a server, a tenant, a drawn catalogue in a collection, three searches, and the console.

    python -m examples.demo [--serve] [--folder demo] [--listen 127.0.0.1:50061] [--http 127.0.0.1:50090]

Everything lies in the folder; a second run finds it there. With --serve the server goes on until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from afterimage.client import AlreadyExists, Client, Hit, NewRecord, SearchResult, Term
from examples.catalogue.generate import TABLE_NAME, draw_query, generate
from service.cli.collections.pictures import PictureFile, plan_insert
from service.cli.collections.search import write_sheet
from service.cli.progress import ProgressShown

COLLECTION = "catalogue"
SCOPES = "search,insert,delete,export,sync,admin,audit,pictures"  # what the console can show
TENANT = "demo"
AFTERIMAGE = [sys.executable, "-m", "service.cli.main"]
console = Console(highlight=False)


@contextlib.contextmanager
def running_server(folder: Path, listen: str, http: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Starts the service on the folder's data and yields where it listens; stops it at the end."""
    log = (folder / "server.log").open("w")
    command = [*AFTERIMAGE, "serve", "--data-dir", str(folder / "data"), "--listen", listen, "--http", http]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        address = re.search(r"gRPC on (\S+?)(?:,|$)", line)
        if address is None:
            server.wait()
            last = (folder / "server.log").read_text().strip().splitlines()[-1:]
            raise SystemExit(f"The server did not start: {' '.join(last)}")
        console.print(f"[bold]{line.strip()}[/]")
        yield address[1], server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        log.close()


def demo_key(folder: Path) -> str:
    """The demo tenant's key, made on the first run with the commands that an operator would use."""
    path, data = folder / "api-key", ["--data-dir", str(folder / "data"), "--json"]
    if not path.exists():
        known = json.loads(_output([*AFTERIMAGE, "tenants", "list", *data]))["tenants"]
        if TENANT not in [t["name"] for t in known]:
            _output([*AFTERIMAGE, "tenants", "create", TENANT, *data])
        made = _output([*AFTERIMAGE, "keys", "create", TENANT, "--scopes", SCOPES, *data])
        path.touch(mode=0o600)
        path.write_text(json.loads(made)["api_key"] + "\n")
    return path.read_text().strip()


def fill(client: Client, files: list[PictureFile]) -> None:
    """Inserts the catalogue, unless it is there already."""
    with contextlib.suppress(AlreadyExists):
        client.create_collection(COLLECTION, description="Drawn by program")
    if client.count_records(COLLECTION) == len(files):
        console.print(f"The collection [bold]{COLLECTION}[/] holds {len(files)} records from an earlier run.")
        return
    records = (
        NewRecord(f.record_id, image=f.path.read_bytes(), product_id=f.product_id, attributes=f.attributes)
        for f in files
    )
    with ProgressShown() as progress:
        task = progress.add_task("Inserting", total=len(files), speed="")
        results = list(
            client.import_records(COLLECTION, records, on_progress=lambda p: progress.update(task, completed=p.done))
        )
    failed = [r for r in results if r.error is not None]
    console.print(f"Inserted {len(results) - len(failed)} pictures; {len(failed)} failed. No picture was kept.")


def show(title: str, found: SearchResult, sheet: Path, query: Path, folder: Path) -> None:
    """Prints an answer as a table and writes its contact sheet."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("record", "product", "score", "distance", "category", "colour", "pattern", "price"):
        table.add_column(column)
    hits: list[Hit] = [*found.hits, *(h for g in found.groups for h in g.hits)]
    for hit in hits:
        a = hit.attributes
        facts = (a.get("category"), a.get("colour"), a.get("pattern"), f"{a.get('price'):.2f}")
        table.add_row(hit.record_id, hit.product_id, f"{hit.score:.2f}", f"{hit.distance:.3f}", *map(str, facts))
    console.print()
    console.print(table)
    console.print(f"[dim]{found.allowed_count} records compared in {found.search_ms:.1f} ms; encoding took "
                  f"{found.encode_ms:.1f} ms. Look at {sheet}[/]")  # fmt: skip
    write_sheet(sheet, query, hits, folder)


def three_searches(client: Client, folder: Path) -> None:
    """By new pictures, which no record was made of: alone, and under a filter; and by a stored record."""
    pictures, queries = folder / "catalogue", folder / "queries"
    mug, shirt = draw_query(51, queries), draw_query(1, queries)
    found = client.search(COLLECTION, mug.read_bytes(), k=6)
    show("1. Search with a new picture, of the mug p051", found, folder / "search-1.png", mug, pictures)
    say_how_many("p051", found, client)
    cheap = "price < 80 AND in_stock = true"
    found = client.search(COLLECTION, shirt.read_bytes(), k=6, filter=cheap)
    show(f"2. Search with a new picture, of the shirt p001, under a filter: {cheap}", found, folder / "search-2.png",
         shirt, pictures)  # fmt: skip
    bag = pictures / "p041-0.jpg"
    found = client.search(
        COLLECTION, Term(record_id=bag.stem), k=6, group_by="product_id", exclude_record_ids=[bag.stem]
    )
    show("3. More like the stored record p041-0, one hit per product", found, folder / "search-3.png", bag, pictures)
    console.print("\nThe score says how likely it is that two pictures show the same thing: 1 for the same picture, "
                  "near 0 for others. The distance is that of the vectors: 0 to 2.", soft_wrap=True)  # fmt: skip


def say_how_many(product_id: str, found: SearchResult, client: Client) -> None:
    """How many of the product's pictures were found."""
    stored = client.count_records(COLLECTION, f'product_id = "{product_id}"')
    hits = sum(h.product_id == product_id for h in found.hits)
    console.print(f"{hits} of the {stored} stored pictures of {product_id} are among these {len(found.hits)}.")


def say_how_to_go_on(folder: Path, address: str, http: str) -> None:
    """What to type next, and where the console is.

    The key is in the fragment of the address: a browser sends it to no server, and the page removes it at once.
    """
    console.print(
        f"""
[bold]Go on[/] in another terminal:
  export AFTERIMAGE_TARGET={address} AFTERIMAGE_API_KEY=$(cat {folder}/api-key)
  .venv/bin/afterimage search {COLLECTION} {folder}/queries/p051-query.jpg -k 5 --sheet found.png
  .venv/bin/afterimage collections create mine && .venv/bin/afterimage insert mine path/to/your/pictures
  curl -s http://{http}/metrics | grep afterimage_

[bold]Or open the console[/] in a browser on this machine. The address enters the key of the demo:
  http://{http}/#key={demo_key(folder)}
Drop {folder}/queries/p051-query.jpg there, in the collection {COLLECTION}. The service keeps no picture: to see the
pictures of the hits, choose the folder {folder}/catalogue.""",
        markup=True,
        soft_wrap=True,
    )


def _end(number: int, frame: object) -> None:
    """Ends with all that was started, by a signal. An exception could be raised amid the start of a process, and leave
    that one behind."""
    del frame
    started = psutil.Process().children()
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(started)
    console.show_cursor()
    os._exit(128 + number)


def main() -> None:
    """Runs the demo."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="keep serving until Ctrl-C")
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    parser.add_argument("--listen", default="127.0.0.1:50061")
    parser.add_argument("--http", default="127.0.0.1:50090")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    with running_server(folder, options.listen, options.http) as (address, server):
        generate(folder / "catalogue")
        files = plan_insert([], folder / "catalogue" / TABLE_NAME)
        with Client(address, demo_key(folder)) as client:
            fill(client, files)
            three_searches(client, folder)
        if options.serve:
            say_how_to_go_on(folder, address, options.http)
            console.print("\nServing until Ctrl-C.")
            code = server.wait()
            raise SystemExit(f"The server ended by itself (exit code {code}): {folder / 'server.log'} says why.")


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return done.stdout


if __name__ == "__main__":
    main()
