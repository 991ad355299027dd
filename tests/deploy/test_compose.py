"""The compose file: valid, hardened, without secrets, and a server and a worker run with exactly its settings."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import redis
import yaml

from afterimage.client import Client, NewSource
from service.config import load_settings
from service.coordination.embedded import find_redis_server
from service.settings.model import Settings
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.needs import REDIS_REMEDY, missing
from tests.support.servers.redis_server import free_port
from tests.support.servers.s3 import s3
from tests.support.servers.server import NOT_MEASURED, ONE_DECODER, Server, clean_environment, start
from tests.support.servers.shop import FETCHING, Shop

DEPLOY = Path(__file__).parents[2] / "deploy"
FILE = DEPLOY / "compose.yaml"
CLIENT_VARIABLES = {"AFTERIMAGE_CONFIG"}


def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(FILE.read_text())["services"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make-secrets` writes."""
    if shutil.which("openssl") is None or shutil.which("bash") is None:
        missing("openssl", "apt-get install openssl")
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    make_secrets(folder)
    return folder


def make_secrets(folder: Path, *names: str) -> None:
    subprocess.run([DEPLOY / "make-secrets", folder, *names], check=True, capture_output=True, timeout=60)


def test_the_file_follows_the_compose_specification() -> None:
    options = compose_spec.PyOptions(apply_merge=True)
    options.from_yaml(FILE.read_text()).validate()
    with pytest.raises(ValueError, match="read_onl"):  # the check sees unknown names
        options.from_yaml(FILE.read_text().replace("  read_only: true", "  read_onl: true"))


def test_named_volumes_and_dependencies_exist() -> None:
    whole = yaml.safe_load(FILE.read_text())
    for service in whole["services"].values():
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in whole["volumes"], volume


def test_every_service_is_hardened_and_none_is_published_beyond_this_machine(secrets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    shutil.copytree(DEPLOY, folder, ignore=shutil.ignore_patterns("secrets"))
    shutil.copytree(secrets, folder / "secrets")
    lint = Path(sys.executable).with_name("compose-lint")
    done = subprocess.run(
        [lint, folder / "compose.yaml", "--format", "json"], capture_output=True, text=True, check=False, timeout=60
    )
    high = {
        (f["service"], f["rule_id"])
        for f in json.loads(done.stdout)["findings"]
        if f["severity"] in ("high", "critical")
    }
    assert high == {("objects", "CL-0020")}  # this image takes its key from the environment alone
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert "healthcheck" in service or service["restart"] == "on-failure", name
        assert all(p.startswith("127.0.0.1:") for p in service.get("ports", [])), name


def test_secrets_are_in_files_that_only_their_folder_protects_and_are_kept(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    used = yaml.safe_load(FILE.read_text())["secrets"].values()
    before = {p.name: p.read_bytes() for p in secrets.iterdir()}
    for secret in used:
        path = secrets / Path(secret["file"]).name
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, path
    text = FILE.read_text()
    assert not any(word in text for word in re.findall(r"[0-9a-f]{64}", (secrets / "server.toml").read_text()))
    make_secrets(secrets)
    assert {p.name: p.read_bytes() for p in secrets.iterdir()} == before


def test_every_variable_is_a_setting_and_every_option_is_known() -> None:
    for name in ("server", "worker"):
        variables = {v for v in services()[name]["environment"] if v not in CLIENT_VARIABLES}
        assert {v.removeprefix("AFTERIMAGE_").lower() for v in variables} <= set(Settings.model_fields)


class Machine:
    """This machine in the place of the containers: hosts are 127.0.0.1, ports are free ones, secrets a folder."""

    def __init__(self, secrets: Path, data: Path, objects: str) -> None:
        self.secrets = data / "secrets"
        self.ports = {port: free_port() for port in ("50051", "50080", "50090", "6379")}
        self._places = {
            "/run/secrets": str(self.secrets), "/var/lib/afterimage": str(data), "http://objects:7070": objects,
            "0.0.0.0:": "127.0.0.1:",
            "python -Ic": f"{sys.executable} -Ic", "@redis:": "@127.0.0.1:", "server:50051": "127.0.0.1:50051",
        }  # fmt: skip
        shutil.copytree(secrets, self.secrets)
        for file in self.secrets.glob("*.toml"):
            file.write_text(self.here(file.read_text()))

    def here(self, text: str) -> str:
        for there, place in self._places.items():
            text = text.replace(there, place)
        for port, free in self.ports.items():
            text = re.sub(rf":{port}\b", f":{free}", text)
        return text

    def environment(self, service: Mapping[str, Any]) -> dict[str, str]:
        return {name: self.here(value) for name, value in service["environment"].items()}

    def command(self, service: Mapping[str, Any]) -> list[str]:
        return [self.here(word) for word in service["command"]]


@pytest.mark.long
def test_a_server_and_a_worker_run_with_exactly_these_settings(secrets: Path, tmp_path: Path, shop: Shop) -> None:
    shop.pictures = {"/1.png": png(1), "/feed": b""}
    shop.pictures["/feed"] = jsonl([{"id": "1", "image_link": f"{shop.address}/1.png"}])
    with s3() as store:
        machine = Machine(secrets, tmp_path, store.endpoint)
        create_bucket(machine, store.endpoint)
        with running_redis(machine, tmp_path / "redis"):
            serve_and_synchronise(machine, shop, tmp_path)
        listed = store.client.list_objects_v2(Bucket="pictures")
        assert [entry["Key"].startswith("afterimage/") for entry in listed["Contents"]] == [True]


@contextlib.contextmanager
def running_redis(machine: Machine, folder: Path) -> Iterator[None]:
    """The service `redis` with its own configuration file, on loopback."""
    folder.mkdir()
    lines = machine.here((DEPLOY / "redis.conf").read_text()).splitlines()
    own = {"bind": "bind 127.0.0.1", "port": f"port {machine.ports['6379']}", "dir": f"dir {folder}"}
    config = "\n".join(own.get(line.partition(" ")[0], line) for line in lines)
    (folder / "redis.conf").write_text(config + "\n")
    program = find_redis_server() or missing("a redis-server", REDIS_REMEDY)
    process = subprocess.Popen([program, folder / "redis.conf"], stdout=subprocess.DEVNULL)
    password = (machine.secrets / "redis-password").read_text().strip()
    try:
        while True:
            try:
                with redis.Redis(port=machine.ports["6379"], password=password, decode_responses=True) as connection:
                    assert connection.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
                    assert connection.config_get("appendonly")["appendonly"] == "yes"
                break
            except (redis.ConnectionError, redis.BusyLoadingError):
                assert process.poll() is None
                threading.Event().wait(0.02)
        with redis.Redis(port=machine.ports["6379"]) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        yield
    finally:
        process.kill()
        process.wait()


def create_bucket(machine: Machine, endpoint: str) -> None:
    """By the command of the service `bucket`."""
    if shutil.which("curl") is None:
        missing("curl", "apt-get install curl")
    (machine.secrets / "objects.env").write_text("ROOT_ACCESS_KEY=afterimage\nROOT_SECRET_KEY=secret\n")
    command = machine.here(services()["bucket"]["command"][0]).replace("$$", "$")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr


def serve_and_synchronise(machine: Machine, shop: Shop, folder: Path) -> None:
    cheap = {**NOT_MEASURED, **ONE_DECODER, **FETCHING}
    described = services()
    environment = {**clean_environment(), **machine.environment(described["server"])}
    with (folder / "server.log").open("w") as log:
        process = start(machine.command(described["server"]), {**environment, **cheap}, log)
        assert process.stdout is not None
        assert "is ready" in process.stdout.readline(), (folder / "server.log").read_text()
        worker_environment = {**clean_environment(), **machine.environment(described["worker"]), **cheap}
        worker = start(machine.command(described["worker"]), worker_environment, log)
        assert worker.stdout is not None
        assert "is ready" in worker.stdout.readline(), (folder / "server.log").read_text()
    for name in ("server", "worker"):
        check = described[name]["healthcheck"]["test"]
        program = machine.here(check[3].replace("('server', 50051)", "'server:50051'.split(':')").replace(
            "('redis', 6379)", "'redis:6379'.split(':')").replace("redis:", "127.0.0.1:"))  # fmt: skip
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    server = Server(folder, process, f"127.0.0.1:{machine.ports['50051']}", f"127.0.0.1:{machine.ports['50080']}")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in machine.environment(described["server"]).items():
            patched.setenv(name, value)
        assert load_settings({}).settings.object_store == "s3://pictures/afterimage"
        key = server.key("acme")
    with Client(server.target, key, ca=(machine.secrets / "ca.pem").read_bytes()) as client:
        client.create_collection("shoes", picture_policy="ENCRYPTED_COPY")
        client.create_source(NewSource("feed", "shoes", f"{shop.address}/feed"))
        run = list(client.watch_run(client.start_run("feed").run_id))[-1]
        assert (run.state, run.created_count) == ("succeeded", 1)
        assert client.search("shoes", png(1), k=1).hits[0].record_id == "1"
    worker.terminate()
    assert worker.wait(30) == 0
    assert server.stop() == 0
