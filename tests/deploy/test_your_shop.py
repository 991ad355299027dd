"""The commands and programs of docs/your-shop.md, in their order, against a shop on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data.feeds import rss
from tests.support.data.pictures import encode, noise
from tests.support.needs import missing
from tests.support.pages import DOCS
from tests.support.servers.redis_server import free_port
from tests.support.servers.server import NOT_MEASURED, ONE_DECODER, clean_environment
from tests.support.servers.shop import FETCHING, Shop

ROOT = DOCS.parent
ITEMS = 60
PROGRAMS = {"php": ("shop.php", "php"), "javascript": ("shop.mjs", "node"), "python": ("shop.py", sys.executable)}


def script(shop: Shop, folder: Path) -> str:
    """The page as one script: blocks of bash as they are, and programs in files of their own."""
    text = (DOCS / "your-shop.md").read_text()
    steps = []
    for language, block in re.findall(r"^```(bash|php|javascript|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for port, free in PORTS.items():
            block = block.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        if language == "bash":
            steps.append(block.replace("https://shop.example", shop.address))
            continue
        name, program = PROGRAMS[language]
        (folder / name).write_text("<?php\n" + block if language == "php" else block)
        steps.append(f"echo == {language}; {program} {name}\n")
    return "\n".join(steps)


PORTS = {"50051": free_port(), "50080": free_port()}


def fill(shop: Shop) -> None:
    shop.pictures = {f"/{n}.jpg": encode(noise(n), "JPEG") for n in range(ITEMS)}
    items = [
        {"id": str(n), "title": f"Shoe {n}", "price": f"{20 + n}.00 EUR", "link": f"{shop.address}/shoes/{n}",
         "image_link": f"{shop.address}/{n}.jpg", "item_group_id": f"g{n // 3}"}
        for n in range(ITEMS)
    ]  # fmt: skip
    shop.pictures["/feed.xml"] = rss(items)


@pytest.mark.long
def test_a_shop_searches_its_catalogue_as_the_page_says(shop: Shop, tmp_path: Path) -> None:
    for program in ("bash", "curl", "node", "php"):
        if shutil.which(program) is None:
            missing(program, f"apt-get install {'nodejs' if program == 'node' else program}")
    fill(shop)
    (tmp_path / "photo.jpg").write_bytes(encode(noise(7), "JPEG"))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "afterimage").write_text(f'#!/bin/sh\nexec {sys.executable} -m service.cli.main "$@"\n')
    (programs / "afterimage").chmod(0o755)
    environment = {
        **clean_environment(), **FETCHING, **NOT_MEASURED, **ONE_DECODER,
        "AFTERIMAGE_TARGET": f"127.0.0.1:{PORTS['50051']}", "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}", "AFTERIMAGE_STATE_DIR": str(tmp_path / "state"),
    }  # fmt: skip
    ends = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-m", "-c", ends + script(shop, tmp_path) + "\nwait"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    said = done.stdout
    assert done.returncode == 0, said[-2000:] + done.stderr[-2000:]
    assert re.search(rf"created +{ITEMS}\b|{ITEMS} created", said), said
    for language in PROGRAMS:
        first = said.partition(f"== {language}\n")[2].splitlines()[0]
        assert re.fullmatch(r"7 (1|1\.0|0\.99\d*) Shoe 7", first), f"{language}: {first}"
    similar = said.splitlines()[-1]
    assert '"groups"' in similar
    log = (tmp_path / "server.log").read_text()
    assert '"event": "stopped"' in log
    assert '"level": "error"' not in log
