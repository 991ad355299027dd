import subprocess
import sys
from pathlib import Path

from service.runtime.process import decoder_environment, prepared_environment
from tests.support.servers.server import COMMAND, clean_environment

LOOK = "from service.runtime.process import *; forbid_dumps(); print(freed_memory_is_overwritten(), dumps_forbidden())"


def looked_at(environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_self_test_sees_whether_freed_memory_is_overwritten() -> None:
    plain = clean_environment()
    prepared = prepared_environment(plain, 1000)
    assert prepared is not None
    assert looked_at(prepared) == "True True"
    assert looked_at(plain) == "False True"


def test_the_collector_does_not_look_through_what_is_there_at_the_start() -> None:
    look = "import gc; from service.runtime.process import freeze_gc; freeze_gc(); print(len(gc.get_objects()))"
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout
    assert int(seen) < 100


def test_decoders_see_nothing_of_the_settings() -> None:
    seen = decoder_environment({"PATH": "/bin", "AFTERIMAGE_MASTER_KEY": "k", "HOME": "/root", "GLIBC_TUNABLES": "x"})
    assert seen == {"PATH": "/bin", "GLIBC_TUNABLES": "x"}


def test_a_strict_server_does_not_start_where_freed_memory_stays(tmp_path: Path) -> None:
    environment = {**clean_environment(), "_AFTERIMAGE_PREPARED": "1", "AFTERIMAGE_STRICT_FORGETTING": "true"}
    command = [*COMMAND, "serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "strict_forgetting" in ended.stderr
    assert not (tmp_path / "data").exists()
