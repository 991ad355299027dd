"""Fixtures shared by several folders."""

# ruff: noqa: E402 - what is below imports numpy and FAISS, which read their variables once
from __future__ import annotations

import os

# As in a server. With more, a thread that waits for the others keeps its core busy, also for the smallest search.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Collecting makes a million objects that live as long as the process; to look through them again and again costs more
# than half of the time that collecting takes.
import gc

gc.disable()

import itertools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from afterimage.client import Client
from service.intake.decode import prepare_opencv
from tests.support import several_processes
from tests.support.fixtures import _no_settings, collection, postgres, registry, uid  # noqa: F401 - fixtures
from tests.support.needs import skipped_lines
from tests.support.numpy_selection import install_where_chosen
from tests.support.reliability import FaultResult, report
from tests.support.servers.server import Server, kill_leftovers, share, start_server
from tests.support.servers.shop import Shop

_numbers = itertools.count()

# How long an example takes says how busy the machine is.
settings.register_profile("afterimage", deadline=None)
settings.load_profile("afterimage")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts another vector index into the service, or several processes into the server, where that is asked for."""
    install_where_chosen(items)
    several_processes.select_where_chosen(config, items)


@pytest.hookimpl(tryfirst=True)  # before the loops of pytest and of pytest-xdist
def pytest_runtestloop() -> None:
    """Leaves out of all garbage collections what collecting has made."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists skipped tests at the end, with what to install for them."""
    skipped = [r.longrepr[2] for r in terminalreporter.stats.get("skipped", []) if isinstance(r.longrepr, tuple)]
    if skipped:
        terminalreporter.section("skipped on this machine")
    for line in skipped_lines(skipped):
        terminalreporter.write_line(line)


@pytest.fixture
def report_faults(request: pytest.FixtureRequest) -> Callable[[FaultResult], None]:
    """Reports the results of a fault test, for docs/reliability.md."""
    return lambda result: report(request.node.nodeid, result)


@pytest.fixture(autouse=True, scope="session")
def _opencv() -> None:
    prepare_opencv()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for all tests of a process. Each test has its own tenants on it."""
    from tests.support.data.detectors.graphs import write_bright  # only now: it imports onnx

    detectors = write_bright(tmp_path_factory.mktemp("detectors"), "bright").parent
    environment = {
        "AFTERIMAGE_XIMILAR_DOOR": "true", "AFTERIMAGE_CONSOLE_PICTURE_HOSTS": "pictures.example",
        "AFTERIMAGE_DETECTORS_DIR": str(detectors), "AFTERIMAGE_DETECTOR": "bright",
    }  # fmt: skip
    flags, folder = several_processes.flags(), tmp_path_factory.mktemp("server")
    running = share(start_server(folder, *flags, environment=environment, anew=True))
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def _no_leftover_servers() -> Iterator[None]:
    yield
    kill_leftovers()


@pytest.fixture
def tenant_name() -> str:
    """A unique name for a tenant."""
    return f"tenant-{next(_numbers)}"


@pytest.fixture
def client(server: Server, tenant_name: str) -> Iterator[Client]:
    """A client with all scopes, of its own tenant."""
    with server.client(server.key(tenant_name)) as connected:
        yield connected


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop's web server for this test alone."""
    made = Shop()
    with made.running():
        yield made
