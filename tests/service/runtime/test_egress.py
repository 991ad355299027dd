"""The list of outgoing connections is complete: compared with the code, and with a running server."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import index
import service
from afterimage.client import Client, NewRecord, NewSource
from service.config import load_settings
from service.coordination.embedded import socket_path
from service.runtime.egress import OPENED_BY, connections
from service.settings.model import Settings
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell

ROOT = Path(__file__).parents[3]
OPENERS = {
    "ClientSession", "from_url", "Sentinel", "insecure_channel", "secure_channel", "open_connection",
    "open_unix_connection", "create_connection", "getaddrinfo", "urlopen", "connect_ex", "HTTPConnection",
    "HTTPSConnection", "SMTP", "shlex", "S3Store", "psycopg", "OTLPSpanExporter", "build_opener",
}  # fmt: skip
RECORDER = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        with open({log!r}, "a") as log:
            print(event, arguments[1] if event == "socket.connect" else arguments[0], file=log)
sys.addaudithook(hook)
"""


def openers(path: Path) -> set[str]:
    """Which names that open connections a module uses."""
    tree = ast.parse(path.read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return used & OPENERS


def test_every_module_that_can_open_a_connection_is_listed_and_no_other_is() -> None:
    found = {}
    for package in (service, index):
        root = Path(str(package.__file__)).parent
        for path in root.rglob("*.py"):
            if used := openers(path):
                name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
                found[name.removeprefix("service.").removeprefix("index.")] = used
    assert found.keys() == OPENED_BY.keys(), found
    assert {n for names in OPENED_BY.values() for n in names} == {c.name for c in connections(Settings())}


def opened(**given: object) -> dict[str, bool]:
    return {c.name: c.open for c in connections(load_settings(given).settings)}


def test_settings_turn_connections_off() -> None:
    assert opened() == {
        "pictures": True, "feeds": True, "webhooks": True, "names": True, "redis": False, "object store": False,
        "record store": False, "traces": False, "master key command": False, "worker to server": False,
        "metrics page": False, "forwarded calls": False,
    }  # fmt: skip
    assert not any(opened(fetch_urls=False).values())
    assert opened(fetch_urls=False, http="search.example:50080", http_proxies=["10.1.0.0/16"])["names"]
    assert opened(fetch_urls=False, metrics="metrics.example:50080")["names"]
    assert not opened(fetch_urls=False, listen="[::1]:50051", http="localhost:0")["names"]
    assert opened(fetch_urls=False, redis_url="rediss://u:secret@redis.example:6380/0")["redis"]
    assert not opened(redis_url="unix:///run/redis.sock")["redis"]
    assert opened(store_url="postgresql://u:secret@db.example/records")["record store"]
    assert opened(object_store="s3://bucket/here")["object store"]
    assert opened(master_key_command="kms decrypt")["master key command"]


def test_a_password_in_a_setting_is_not_shown() -> None:
    settings = load_settings({"redis_url": "rediss://u:secret@redis.example:6380/0"}).settings
    shown = next(c for c in connections(settings) if c.name == "redis")
    assert (shown.to, "secret" in str(shown)) == ("redis.example:6380", False)
    settings = load_settings({"store_url": "postgresql://u:pass-1@db.example:5433/records"}).settings
    shown = next(c for c in connections(settings) if c.name == "record store")
    assert (shown.to, "pass-1" in f"{shown} {settings}") == ("db.example:5433", False)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Server, Path]:
    """A server whose every connection is written down."""
    log, hooks = tmp_path / "connections", tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(RECORDER.format(log=str(log)))
    feeds = tmp_path / "feeds"
    (feeds / "acme" / "pictures").mkdir(parents=True)
    (feeds / "acme" / "pictures" / "1.png").write_bytes(png(1))
    environment = {"PYTHONPATH": str(hooks), "AFTERIMAGE_FEEDS_DIR": str(feeds)}
    return start_server(tmp_path / "s", environment=environment), log


def test_a_server_that_is_given_no_url_connects_to_its_own_redis_alone(recorded: tuple[Server, Path]) -> None:
    server, log = recorded
    with server.client(server.key("acme")) as client:
        use(client)
    assert server.stop() == 0
    lines = set(log.read_text().splitlines())
    assert lines == {f"socket.connect {socket_path((server.data_dir / 'redis').resolve())}"}


def test_the_library_that_runs_models_reports_nothing_and_leaves_no_identifier(tmp_path: Path) -> None:
    """By default it would do both, except where a variable tells that this is CI. Its connections are not Python's."""
    program = (
        "from service.encoder.registry import BUILTIN_FOLDER\n"
        "from service.encoder.session import load_model\n"
        "load_model(str(next(BUILTIN_FOLDER.glob('*.onnx'))), 1)\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, check=True, timeout=100)
    assert list(tmp_path.iterdir()) == []


def use(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord("1", image=png(1))])
    client.search("c", png(1))
    client.create_source(NewSource("feed", "c", "file:pictures"))
    assert list(client.watch_run(client.start_run("feed").run_id))[-1].state == "succeeded"


def test_the_list_is_shown(server: Server, tenant_name: str, tmp_path: Path) -> None:
    shell = Shell(server, tenant_name, tmp_path)
    shown = shell.json("doctor", "--egress", *shell.data)["connections"]
    assert [c["name"] for c in shown] == [c.name for c in connections(Settings())]
    assert "fetch_urls = false" in shell.run("doctor", "--egress", *shell.data)
