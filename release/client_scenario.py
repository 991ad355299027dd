"""What a shop's application does with the installed client: run by `client_versions` under other Pythons and packages.

    python client_scenario.py TARGET API_KEY COLLECTION

It uses nothing of this project but `afterimage`, and only syntax of the oldest Python. The pictures are drawn here.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import google.protobuf
import grpc

import afterimage
from afterimage.client import AfterimageError, AsyncClient, Client, InvalidArgument, NewRecord, NotFound, Term
from afterimage.client.values import ImageSource

COLORS = {"red": (200, 30, 40), "green": (40, 160, 60), "blue": (30, 60, 200)}


def picture(color: tuple[int, int, int], side: int = 48) -> bytes:
    """Returns a PNG file: a disc of `color` on white."""
    rows = b""
    for y in range(side):
        rows += b"\0"
        for x in range(side):
            inside = (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 3) ** 2
            rows += bytes(color if inside else (255, 255, 255))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def use(client: Client, collection: str, folder: Path) -> None:
    """Calls of each kind: one message each way, a stream each way, both, and errors with details."""
    client.create_collection(collection)
    files = {name: folder / f"{name}.png" for name in COLORS}
    for name, path in files.items():
        path.write_bytes(picture(COLORS[name]))
    with files["green"].open("rb") as opened:
        given: dict[str, ImageSource] = {"red": files["red"], "green": opened, "blue": files["blue"].read_bytes()}
        records = [NewRecord(name, image=image, attributes={"color": name}) for name, image in given.items()]
        inserted = client.insert(collection, records)
    expect([r.error for r in inserted] == [None] * 3, inserted)
    for name, path in files.items():
        expect(client.search(collection, path, k=1).hits[0].record_id == name, name)
    found = client.search(collection, Term(record_id="red"), k=5, filter='color = "blue"').hits
    expect([(hit.record_id, hit.attributes["color"]) for hit in found] == [("blue", "blue")], found)
    vector = [1.0] * client.get_collection(collection).dimension
    again = list(client.import_records(collection, (NewRecord(f"v{n}", vector=vector) for n in range(40))))
    expect([r.error for r in again] == [None] * 40, again)
    expect(len(list(client.records(collection))) == 43, "43 records")
    expect(bool(list(client.find_duplicates(collection))), "groups of duplicates")
    refused = client.insert(collection, [NewRecord("bad", image=b"no picture"), NewRecord("good", image=files["red"])])
    expect([r.error is None for r in refused] == [False, True], refused)
    _refuses(client, collection)
    client.delete_collection(collection, force=True)


def _refuses(client: Client, collection: str) -> None:
    calls: list[tuple[Callable[[], object], type[AfterimageError]]] = [
        (lambda: client.search(collection, b"x", k=0), InvalidArgument),
        (lambda: client.search("nowhere", Term(record_id="red")), NotFound),
        (lambda: client.search(collection, Path("nowhere.png")), InvalidArgument),
    ]
    for call, kind in calls:
        try:
            call()
        except kind as error:
            expect(bool(error.message), error)
        else:
            expect(False, f"{kind.__name__} was not raised")


def expect(holds: bool, shown: object) -> None:
    """Raises SystemExit with `shown` where something does not hold: `python -O` drops no check of these."""
    if not holds:
        raise SystemExit(f"unexpected: {shown!r:.500}")


async def use_async(target: str, api_key: str, collection: str) -> None:
    """The asynchronous client, with the same methods."""
    async with AsyncClient(target, api_key=api_key) as client:
        await client.create_collection(collection)
        records = (NewRecord(name, image=picture(color)) for name, color in COLORS.items())
        expect([r.error async for r in client.import_records(collection, records)] == [None] * 3, "imported")
        for name, color in COLORS.items():
            expect((await client.search(collection, picture(color), k=1)).hits[0].record_id == name, name)
        await client.delete_collection(collection, force=True)


def main() -> None:
    """Runs the calls. Raises where one does not do what it must, and where anything warns."""
    target, api_key, collection = sys.argv[1:]
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder, Client(target, api_key=api_key) as client:
        use(client, collection, Path(folder))
    asyncio.run(use_async(target, api_key, collection))
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"afterimage {afterimage.__version__}: Python {python}, grpcio {grpc.__version__}, "
          f"protobuf {google.protobuf.__version__}: works")  # fmt: skip


if __name__ == "__main__":
    main()
