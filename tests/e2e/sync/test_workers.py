"""Remote workers of a server without own runs: they fetch and encode, the server plans and stores."""

from __future__ import annotations

import random
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import grpc
import pytest

from afterimage.client import Client, NewSource, RetryPolicy, Run
from afterimage.v1 import worker_service_pb2 as pb
from afterimage.v1 import worker_service_pb2_grpc as pb_grpc
from tests.e2e.sync.test_sync_crash import Catalogue
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.redis_server import (
    RedisServer,
    free_port,
    refusing_port,
    running_redis,
    running_tls_redis,
    start_redis,
)
from tests.support.servers.server import (
    NOT_MEASURED,
    ONE_DECODER,
    Server,
    clean_environment,
    ended_at_once,
    keep,
    share,
    start,
    start_server,
)
from tests.support.servers.shop import FETCHING, Shop
from tests.support.servers.tls import make_certificates
from tests.support.servers.worker import SECRET, metric, start_worker, wait_for_log
from tests.support.shared import own_encoder

ITEMS = 40
NO_RUNS_HERE = {**FETCHING, **SECRET, "AFTERIMAGE_SYNC_RUNS": "0"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a worker, for tests that kill neither."""
    folder = tmp_path_factory.mktemp("served")
    with running_redis(folder / "redis") as redis:
        server = share(start_server(folder, "--redis-url", redis.url, environment=NO_RUNS_HERE))
        worker = start_worker(server, redis.url)
        keep(worker)
        yield server
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert server.stop() == 0


@pytest.fixture
def tenant(served: Server, tenant_name: str) -> Iterator[Client]:
    with served.client(served.key(tenant_name)) as connected:
        yield connected


@pytest.fixture
def coordinated(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def owner(tmp_path: Path, coordinated: RedisServer) -> Server:
    return start_server(tmp_path, "--redis-url", coordinated.url, environment=NO_RUNS_HERE)


@pytest.fixture
def client(owner: Server) -> Iterator[Client]:
    with owner.client(owner.key("acme")) as connected:
        connected.create_collection("c")
        yield connected


def publish(shop: Shop, count: int = ITEMS, collection: str = "c") -> NewSource:
    shop.pictures |= {f"/{n}.png": png(n) for n in range(count)}
    shop.pictures["/feed"] = jsonl([{"id": str(n), "image_link": f"{shop.address}/{n}.png"} for n in range(count)])
    return NewSource(f"feed-{collection}", collection, f"{shop.address}/feed", max_delete_share=1.0)


def ended(client: Client, run_id: str) -> Run:
    *_, last = client.watch_run(run_id)
    return last


def test_a_worker_sends_the_picture_along_where_the_collection_keeps_copies(tenant: Client, shop: Shop) -> None:
    tenant.create_collection("copies", picture_policy="ENCRYPTED_COPY")
    tenant.create_source(publish(shop, 3, "copies"))
    assert ended(tenant, tenant.start_run("feed-copies").run_id).created_count == 3
    with urllib.request.urlopen(tenant.picture_link("copies", "2").url) as answer:
        assert answer.read() == png(2)


def test_a_worker_uses_a_picture_that_is_cut_short_where_the_collection_does(tenant: Client, shop: Shop) -> None:
    tenant.create_collection("lenient", partial=True)
    source = publish(shop, 3, "lenient")
    shop.pictures["/2.png"] = png(2)[:-3000]
    tenant.create_source(source)
    assert ended(tenant, tenant.start_run("feed-lenient").run_id).created_count == 3


def test_a_worker_encodes_and_the_server_stores(served: Server, tenant: Client, shop: Shop) -> None:
    encoded_here = 'afterimage_picture_seconds_count{stage="model"}'
    before = metric(served, encoded_here)
    tenant.create_collection("c")
    tenant.create_source(publish(shop))
    run = ended(tenant, tenant.start_run("feed-c").run_id)
    assert (run.state, run.created_count) == ("succeeded", ITEMS)
    assert metric(served, encoded_here) == before
    hit = tenant.search("c", png(7), k=1).hits[0]
    assert (hit.record_id, hit.distance < 1e-3) == ("7", True)
    shop.requests.clear()
    again = ended(tenant, tenant.start_run("feed-c", full=True).run_id)
    assert (again.state, again.encoded_count, shop.asked()) == ("succeeded", 0, [])


def test_a_bad_picture_fails_its_own_record_and_says_why(tenant: Client, shop: Shop) -> None:
    tenant.create_collection("c")
    source = publish(shop, 5)
    shop.pictures["/3.png"] = b"not a picture"
    del shop.pictures["/4.png"]
    tenant.create_source(source)
    run = ended(tenant, tenant.start_run("feed-c").run_id)
    assert (run.state, run.created_count, run.failed_count) == ("succeeded_with_errors", 3, 2)
    failures, _ = tenant.list_failures_page("feed-c")
    assert {f.record_id: f.reason for f in failures} == {
        "3": "IMAGE_FORMAT_UNSUPPORTED", "4": "URL_NOT_FOUND",
    }  # fmt: skip


@pytest.mark.parametrize("who", ["the worker", "the server", "Redis"])
def test_whoever_is_killed_the_run_goes_on_from_where_it_was(
    tmp_path: Path, owner: Server, client: Client, coordinated: RedisServer, shop: Shop, who: str
) -> None:
    workers = [start_worker(owner, coordinated.url)]
    client.create_source(publish(shop))
    alarm = shop.alarm(ITEMS // 2)
    run_id = client.start_run("feed-c").run_id
    assert alarm.wait(60)
    key = owner.key("acme")
    if who == "the worker":
        workers[0].kill()
        start_worker(owner, coordinated.url)
        server = owner
    elif who == "the server":
        owner.kill()
        listen = ("--listen", owner.target)
        server = start_server(tmp_path, "--redis-url", coordinated.url, *listen, environment=NO_RUNS_HERE)
    else:
        coordinated.stop()
        coordinated.process = start_redis(coordinated.folder, port=coordinated.port).process
        server = owner
    with server.client(key) as again:
        run = ended(again, run_id)
        assert run.state == "succeeded"
        assert sorted(r.record_id for r in again.records("c")) == sorted(str(n) for n in range(ITEMS))
    assert max(Counter(shop.asked()).values()) <= 2
    assert server.stop() == 0


@pytest.mark.long
def test_a_worker_that_is_killed_at_fifty_points_leaves_what_an_undisturbed_run_would(
    owner: Server, client: Client, coordinated: RedisServer, shop: Shop
) -> None:
    chance = random.Random(8)
    catalogue = Catalogue(shop, chance)
    catalogue.change()
    client.create_source(NewSource("feed", "c", f"{shop.address}/feed", max_delete_share=1.0))
    worker = start_worker(owner, coordinated.url)
    for _ in range(50):
        catalogue.change()
        shop.requests.clear()
        alarm = shop.alarm(chance.randrange(40))
        run_id = client.start_run("feed").run_id
        while not alarm.wait(0.05) and not client.get_run(run_id).ended:
            pass
        worker.kill()
        worker = start_worker(owner, coordinated.url)
        assert ended(client, run_id).state == "succeeded"
        catalogue.check(client)


@pytest.mark.long
def test_a_worker_that_stands_still_for_longer_than_its_lease_stores_nothing_afterwards(
    owner: Server, client: Client, coordinated: RedisServer, shop: Shop
) -> None:
    worker = start_worker(owner, coordinated.url)
    client.create_source(publish(shop))
    alarm = shop.alarm(ITEMS // 2)
    run_id = client.start_run("feed-c").run_id
    assert alarm.wait(60)
    worker.send_signal(signal.SIGSTOP)
    threading.Timer(40, worker.send_signal, (signal.SIGCONT,)).start()
    start_worker(owner, coordinated.url)
    assert ended(client, run_id).state == "succeeded"
    assert client.count_records("c") == ITEMS


def test_a_worker_without_the_encoder_says_so_at_once(tmp_path: Path, coordinated: RedisServer, shop: Shop) -> None:
    encoders = own_encoder(tmp_path / "encoders")
    server = start_server(
        tmp_path, "--redis-url", coordinated.url, "--encoders-dir", str(encoders), environment=NO_RUNS_HERE
    )
    start_worker(server, coordinated.url)
    with server.client(server.key("acme")) as connected:
        connected.create_collection("c", encoder_id="mobilenet-v2")
        connected.create_source(publish(shop, 3))
        run = ended(connected, connected.start_run("feed-c").run_id)
    assert (run.state, run.reason) == ("failed", "ENCODER_MISSING")
    assert "use the same encoders_dir" in run.message


def test_everything_may_go_over_tls(tmp_path: Path, shop: Shop) -> None:
    certificates, port = make_certificates(tmp_path), free_port()
    with running_tls_redis(tmp_path / "redis", certificates, port):
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates.ca}"
        server = start_server(
            tmp_path, "--redis-url", url, "--tls-cert", str(certificates.server_cert),
            "--tls-key", str(certificates.server_key), "--client-ca", str(certificates.ca), environment=NO_RUNS_HERE,
        )  # fmt: skip
        start_worker(
            server, url, "--ca-file", str(certificates.ca), "--tls-cert", str(certificates.client_cert),
            "--tls-key", str(certificates.client_key),
        )  # fmt: skip
        with Client(
            server.target, server.key("acme"), ca=certificates.ca.read_bytes(),
            client_cert=certificates.client_cert.read_bytes(), client_key=certificates.client_key.read_bytes(),
            retry=RetryPolicy(attempts=1),
        ) as connected:  # fmt: skip
            connected.create_collection("c")
            connected.create_source(publish(shop, 3))
            assert ended(connected, connected.start_run("feed-c").run_id).state == "succeeded"
        assert server.stop() == 0


def test_a_worker_that_waits_for_its_server_can_be_stopped(tmp_path: Path, coordinated: RedisServer) -> None:
    with refusing_port() as port, (tmp_path / "worker.log").open("w") as log:
        arguments = ["worker", "--server", f"127.0.0.1:{port}", "--redis-url", coordinated.url]
        waiting = start(arguments, {**clean_environment(), **NOT_MEASURED, **ONE_DECODER, **SECRET}, log)
        wait_for_log(waiting, tmp_path, "the server is unavailable")
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(30) == 0


def test_a_worker_with_another_secret_is_not_let_in(served: Server, coordinated: RedisServer, tmp_path: Path) -> None:
    arguments = ["worker", "--server", served.target, "--redis-url", coordinated.url]
    code, said = ended_at_once(arguments, tmp_path, {**ONE_DECODER, "AFTERIMAGE_WORKER_SECRET": "x" * 32})
    assert code == 1
    assert "worker_secret" in said


def test_a_worker_can_only_work_on_runs_whose_lease_it_holds(
    owner: Server, client: Client, coordinated: RedisServer, shop: Shop
) -> None:
    client.create_source(publish(shop, 3))
    run_id = client.start_run("feed-c").run_id
    with grpc.insecure_channel(owner.target) as channel:
        stub = pb_grpc.WorkerServiceStub(channel)
        uid = tenant_uid(owner)
        taken = pb.TakenRun(worker="thief", tenant_uid=uid, collection="c", run_id=run_id, epoch=9)
        secret = SECRET["AFTERIMAGE_WORKER_SECRET"]
        for _ in range(30):  # some end while their lease is looked up
            said = stub.WorkOnRun(
                iter([pb.WorkOnRunRequest(taken=taken)]), metadata=(("authorization", f"Worker {secret}"),), timeout=20
            )
            assert list(said) == []
    assert client.get_run(run_id).state == "queued"
    redis = coordinated.connection()
    queued = {ref for name in redis.scan_iter("*:queue:*") for ref in cast(list[str], redis.zrange(name, 0, -1))}
    assert len(queued) == 1, "a claim under another collection would let two workers do one run"
    start_worker(owner, coordinated.url)
    run = ended(client, run_id)
    assert run.state == "succeeded", run


def tenant_uid(server: Server) -> str:
    with server.registry() as registry:
        return registry.tenant("acme").uid


def test_two_workers_share_the_runs_of_two_collections(
    owner: Server, client: Client, coordinated: RedisServer, shop: Shop
) -> None:
    one = {**FETCHING, "AFTERIMAGE_SYNC_RUNS": "1"}
    for _ in range(2):
        start_worker(owner, coordinated.url, environment=one)
    client.create_collection("d")
    shop.open.clear()  # no picture is given out
    runs = []
    for name in ("c", "d"):
        client.create_source(publish(shop, 5, name))
        runs.append(client.start_run(f"feed-{name}").run_id)
    for run_id in runs:  # each has one run only, and both are at work
        while client.get_run(run_id).state != "applying":
            threading.Event().wait(0.05)
    shop.open.set()
    assert [ended(client, r).state for r in runs] == ["succeeded", "succeeded"]
    assert (owner.folder / "worker.log").read_text().count("took a run") == 2
