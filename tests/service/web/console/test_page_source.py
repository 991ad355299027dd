"""The source of the console: how large it is, that it type-checks, and that code of others is what it says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from service.web.console.files import read_files
from tests.support.servers.server import clean_environment
from tests.support.tools import npm_install, run

ROOT = Path(__file__).parents[4]
CONSOLE = ROOT / "service/web/console"
NPM = ROOT / "tests/console/npm"
OPENAPI = ROOT / "service/web/api/openapi.json"
MOST_BYTES = 60_000  # of script and style, compressed as browsers get them
MOST_BODY_BYTES = 160_000  # before compression
CAST = re.compile(rb"/\*\* @type \{[^\n]*?\} \*/ ")
_FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "localStorage",
              "document.cookie", "importScripts", "http://", "https://")  # fmt: skip


def sources(folder: str) -> list[Path]:
    return sorted(path for path in (CONSOLE / folder).rglob("*") if path.suffix in (".js", ".css"))


def test_script_and_style_stay_small() -> None:
    files = [file for path, file in read_files().assets.items() if path.endswith((".js", ".css"))]
    sent, source = sum(len(file.compressed) for file in files), sum(len(file.body) for file in files)
    print(f"console: {len(files)} files of script and style, {source:,} bytes, {sent:,} as they are sent")
    assert sent <= MOST_BYTES
    assert source <= MOST_BODY_BYTES


def test_comments_and_casts_are_left_out_and_every_line_of_code_is_sent_as_it_is() -> None:
    removed = 0
    for name, file in read_files().assets.items():
        within = False  # a comment of several lines
        for source, sent in zip((CONSOLE / name).read_bytes().split(b"\n"), file.body.split(b"\n"), strict=True):
            text = source.strip()
            comment = within or text.startswith((b"//", b"/*"))
            if sent == CAST.sub(b"", source) != source:
                assert b"/*" not in sent, name
            elif sent != source:
                removed += 1
                assert sent == b"", name
                assert comment, (name, source)
            else:
                assert not comment or not text.endswith(b"*/") or name.startswith("vendor/"), (name, source)
            within = comment and not text.startswith(b"//") and b"*/" not in text
    assert removed > 100


def test_code_of_others_is_what_its_list_says() -> None:
    vendor = CONSOLE / "vendor"
    listed = json.loads((vendor / "sources.json").read_text())
    assert {path.name for path in sources("vendor")} == listed.keys()
    for name, source in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == source["sha256"], name
        assert (vendor / f"LICENSE-{source['package']}").read_text().strip(), "its licence is beside it"


def test_own_code_makes_no_markup_of_text_and_names_no_other_place() -> None:
    for path in sources("page"):
        text = re.sub(r"^\s*(//|/?\*).*$", "", path.read_text(), flags=re.MULTILINE)
        found = [word for word in _FORBIDDEN if word in text.replace("http://www.w3.org", "")]
        assert not found, (path.name, found)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages that the checks need from npm."""
    folder = tmp_path_factory.mktemp("types") / "npm"
    shutil.copytree(NPM, folder)
    npm_install(folder)
    return folder


def test_it_type_checks_against_the_api(installed: Path) -> None:
    """The types of responses and requests are made from openapi.json, as those of clients/js."""
    for part in ("page", "vendor"):
        shutil.copytree(CONSOLE / part, installed / part, dirs_exist_ok=True)
    for types in (NPM / "types").iterdir():
        shutil.copy(types, installed / "vendor")
    environment = clean_environment()
    tools = installed / "node_modules/.bin"
    run([str(tools / "openapi-typescript"), str(OPENAPI), "-o", "openapi.d.ts"], installed, environment)
    run([str(tools / "tsc"), "-p", "tsconfig.json"], installed, environment)


def test_code_of_others_is_that_of_the_registry(installed: Path) -> None:
    for name, source in json.loads((CONSOLE / "vendor/sources.json").read_text()).items():
        package = installed / "node_modules" / source["package"]
        assert json.loads((package / "package.json").read_text())["version"] == source["version"]
        original = (package / source["path"]).read_text()
        for before, after in source.get("changed", {}).items():
            assert original.count(before) == 1
            original = original.replace(before, after)
        assert original == (CONSOLE / "vendor" / name).read_text(), name
        licence = (CONSOLE / "vendor" / f"LICENSE-{source['package']}").read_text()
        assert licence == (package / "LICENSE").read_text()
