"""Nothing of a picture remains in any file, whatever way it came and however it ended."""

from pathlib import Path

from PIL import Image

from afterimage.client import AfterimageError, Client, NewRecord, Region
from tests.support.files import all_bytes
from tests.support.pictures import encode, noise
from tests.support.server import start_server

MARK = b"AFTERIMAGE-CANARY-7f3a91"  # 24 bytes, which are eight pixels
SWAPPED = b"".join(MARK[i : i + 3][::-1] for i in range(0, len(MARK), 3))  # the same pixels in the other byte order


def marked(seed: int) -> bytes:
    """A BMP whose pixels, which it stores as they are, hold the mark in every fourth row; no two seeds are alike."""
    pixels = bytearray(noise(seed, 64, 64).tobytes())
    for y in range(0, 64, 4):
        pixels[y * 192 : y * 192 + 192] = MARK * 8
    content = encode(Image.frombytes("RGB", (64, 64), bytes(pixels)), "BMP")
    assert content.count(SWAPPED) == 128
    return content


def send_everywhere(client: Client, stranger: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord(str(n), image=marked(n)) for n in range(20)])
    list(client.import_records("c", (NewRecord(f"i{n}", image=marked(50 + n)) for n in range(40))))
    client.insert("c", [NewRecord("r", image=marked(3), region=Region(0.1, 0.1, 0.9, 0.9))])
    client.search("c", marked(5))
    client.encode([marked(6)])
    client.rank(marked(7), [marked(8), marked(9)])
    client.classify("c", marked(10), "color")
    client.insert("c", [NewRecord("broken", image=marked(11)[:9000]), NewRecord("text", image=MARK * 50)])
    for failing in (
        lambda: client.insert("c", [NewRecord("late", image=marked(12))] * 90, timeout_s=0.01),
        lambda: client.search("c", marked(13), filter="bad ="),
        lambda: stranger.search("c", marked(14)),
        lambda: client.search("none", marked(15)),
    ):
        try:
            failing()
        except AfterimageError:
            continue
        raise AssertionError("this call was meant to fail")


def test_no_byte_of_a_picture_is_in_any_file_the_log_or_redis(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = start_server(tmp_path, environment={"TMPDIR": str(temporary), "AFTERIMAGE_LOG_LEVEL": "debug"})
    with server.client(server.key("acme")) as client, server.client(server.key("other")) as stranger:
        send_everywhere(client, stranger)
        while_running = all_bytes(tmp_path)
    assert server.stop() == 0
    for content in (while_running, all_bytes(tmp_path)):
        assert len(content) > 100_000
        assert MARK[:12] not in content
        assert SWAPPED[:12] not in content


def test_the_search_for_the_mark_would_find_it(tmp_path: Path) -> None:
    (tmp_path / "leak").write_bytes(b"x" * 1000 + marked(1)[200:900])
    assert SWAPPED[:12] in all_bytes(tmp_path)
