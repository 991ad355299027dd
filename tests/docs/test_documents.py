"""Documents are complete and current: what exists is documented, and links work."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from service.calls.methods import METHODS
from service.cli.main import application
from service.coordination import keys
from service.encoder.manifest import Manifest
from service.errors import Reason
from service.metrics import CollectionMetrics, Metrics
from service.settings.model import Settings
from tests.support.servers.server import Server

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("index/*.md"), *DOCS.rglob("*.md")])


def read(name: str) -> str:
    return (DOCS / name).read_text()


def test_every_setting_has_its_heading_and_no_heading_is_without_setting() -> None:
    headings = re.findall(r"^## (\w+)$", read("configuration.md"), re.MULTILINE)
    assert headings == list(Settings.model_fields)
    for name in Settings.model_fields:
        assert f"`AFTERIMAGE_{name.upper()}`" in read("configuration.md")


def test_every_reason_has_its_row_with_the_right_code() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \|", read("errors.md"), re.MULTILINE))
    assert rows == {r.name: r.code.name for r in Reason}


def test_every_metric_has_its_row() -> None:
    documented = set(re.findall(r"^\| `((?:afterimage|process)_\w+)`", read("operations.md"), re.MULTILINE))
    families = [*Metrics().registry.collect(), *CollectionMetrics().registry.collect()]
    real = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert documented == real


def test_every_call_is_in_the_api_table() -> None:
    text = read("api.md")
    for path in METHODS:
        assert path.rsplit("/", 1)[1] in text, path


def test_every_command_is_in_the_reference() -> None:
    text = read("cli.md")

    def names(command: Any, path: str) -> list[str]:
        found = []
        for name, child in command.commands.items():
            found += names(child, f"{path} {name}") if hasattr(child, "commands") else [f"{path} {name}"]
        return found

    commands = names(typer.main.get_command(application()), "afterimage")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == commands
    for command in commands:
        assert "Example: afterimage" in text.split(f"## {command}\n")[1].split("\n## ")[0], command


def test_every_redis_key_has_its_row() -> None:
    made = [value for name, value in vars(keys).items() if callable(value) and not name.startswith("_")]
    documented = re.findall(r"^\| `(\{afterimage\}:[^`]+)`", read("redis-keys.md"), re.MULTILINE)
    assert [make("<id>") if make.__code__.co_argcount else make() for make in made] == documented


def test_every_field_of_the_manifest_has_its_row() -> None:
    text = read("formats/encoder-manifest.md")
    for name, field in Manifest.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        for part in [f"{name}.{n}" for n in inner] if inner else [name]:
            assert f"`{part}`" in text, part


def test_the_manifests_for_other_encoders_are_right() -> None:
    rest = {"version": "1", "license": "of its makers", "model": "model.onnx", "sha256": "0" * 64}
    manifests = re.findall(r"```json\n(.*?)```", read("own-models.md"), re.DOTALL)
    assert len(manifests) >= 5
    for text in manifests:
        Manifest.model_validate({**rest, **json.loads(text)})


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_anchors_of_links_exist(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", path.read_text()):
        if "://" not in target:
            assert anchor in anchors(path.parent / target if target else path), f"{target}#{anchor}"


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_every_decision_is_in_the_index() -> None:
    listed = set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", (DOCS / "decisions" / "README.md").read_text()))
    assert listed == {p.name for p in (DOCS / "decisions").glob("0*.md")}


def test_the_readme_python_example_runs(
    server: Server, tenant_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.data.pictures import encode, noise

    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    (tmp_path / "1.jpg").write_bytes(encode(noise(1), "JPEG"))
    monkeypatch.chdir(tmp_path)
    program = code[1].replace("127.0.0.1:50051", server.target).replace("af_live_...", server.key(tenant_name))
    program = program.replace('open("1.jpg", "rb").read()', "__import__('pathlib').Path('1.jpg').read_bytes()")
    exec(compile(program, "README.md", "exec"), {})


def test_the_quickstart_of_the_index_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "index" / "README.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(code[1], "index/README.md", "exec"), {})
    nearest, *_, red = capsys.readouterr().out.splitlines()
    assert nearest == "7 0.0 {'color': 'red', 'price': 7.0}"
    assert red == "500"


def _tables(text: str) -> list[list[str]]:
    tables: list[list[str]] = [[]]
    for line in re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_all_rows_of_a_table_have_the_same_number_of_columns(path: Path) -> None:
    for table in _tables(path.read_text()):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(counts) == 1, table
