import contextlib
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from afterimage.client import Client, NewRecord, Unavailable
from service.calls.methods import SERVICE_NAMES
from tests.support.data.pictures import png
from tests.support.servers.server import NO_RETRY, Server, ended_at_once, start_server
from tests.support.servers.tls import make_certificates

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def fetch(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.http}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_ready_and_metrics_are_answered(server: Server) -> None:
    with grpc.insecure_channel(server.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", *SERVICE_NAMES):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == SERVING
    assert fetch(server, "/healthz") == (200, "alive\n")
    assert fetch(server, "/readyz") == (200, "ready\n")
    status, text = fetch(server, "/metrics")
    assert status == 200
    assert "afterimage_ready 1.0" in text
    assert fetch(server, "/other")[0] == 404


def test_health_says_no_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    server = start_server(tmp_path, environment={"AFTERIMAGE_MIN_FREE_DISK_BYTES": str(2**53)})
    with grpc.insecure_channel(server.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=15)
        assert any(update.status == NOT_SERVING for update in watch)
        watch.cancel()
    assert fetch(server, "/readyz") == (503, "not ready\n")
    assert server.stop() == 0


def test_a_stop_lets_running_calls_finish_tells_health_first_and_keeps_everything(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    key = server.key("acme")
    with server.client(key) as client, grpc.insecure_channel(server.target) as channel:
        client.create_collection("c")
        statuses: list[int] = []
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        sent = threading.Event()

        def records() -> Iterator[NewRecord]:
            for n in range(64):
                if n == 40:
                    sent.set()
                yield NewRecord(str(n), image=png(n))

        results: list[str] = []
        worker = threading.Thread(
            target=lambda: results.extend(r.outcome for r in client.import_records("c", records()))
        )
        worker.start()
        assert sent.wait(20)
        assert server.stop() == 0
        worker.join(20)
        with contextlib.suppress(grpc.RpcError):
            for update in watch:
                statuses.append(update.status)
        assert statuses[:1] == [NOT_SERVING]
        assert results == ["created"] * 64
    again = start_server(tmp_path)
    with again.client(key) as client:
        assert client.count_records("c") == 64
        assert client.search("c", png(63)).hits[0].record_id == "63"
    assert again.stop() == 0


def test_a_second_server_on_the_same_data_is_refused(server: Server, tmp_path: Path) -> None:
    code, said = ended_at_once(["serve", "--data-dir", str(server.data_dir), "--listen", "127.0.0.1:0"], tmp_path)
    assert code == 1
    assert "in use by process" in said


def test_a_port_in_use_stops_the_start_with_its_name(server: Server, tmp_path: Path) -> None:
    code, said = ended_at_once(["serve", "--data-dir", str(tmp_path / "d"), "--listen", server.target], tmp_path)
    assert code == 1
    assert f"listen: {server.target} is in use by another process" in said
    assert not (tmp_path / "d").exists()


def test_the_process_runs_under_the_settings_that_overwrite_freed_memory(server: Server) -> None:
    environment = Path(f"/proc/{server.process.pid}/environ").read_bytes()
    for tunable in (b"glibc.malloc.perturb=165", b"glibc.malloc.tcache_count=0", b"OMP_NUM_THREADS=1"):
        assert tunable in environment
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4] == "0"


def test_serving_and_inserting_go_on_while_redis_is_away_and_it_is_started_again(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    key = server.key("acme")
    import psutil

    def redis_pids() -> list[int]:
        return [p.pid for p in psutil.Process(server.process.pid).children() if "redis-server" in p.name()]

    (first,) = redis_pids()
    os.kill(first, signal.SIGKILL)
    with server.client(key) as client:
        client.create_collection("c")
        assert client.insert("c", [NewRecord("1", image=png(1))])[0].outcome == "created"
        assert client.search("c", png(1)).hits[0].record_id == "1"
    while redis_pids() in ([], [first]):
        threading.Event().wait(0.05)
    assert server.stop() == 0


def test_tls_and_mutual_tls_admit_those_who_show_the_right_certificates(tmp_path: Path) -> None:
    pem = make_certificates(tmp_path)
    flags = ("--tls-cert", str(pem.server_cert), "--tls-key", str(pem.server_key), "--client-ca", str(pem.ca))
    server = start_server(tmp_path / "s", *flags)
    key, ca = server.key("acme"), pem.ca.read_bytes()
    cert, cert_key = pem.client_cert.read_bytes(), pem.client_key.read_bytes()
    with Client(server.target, key, ca=ca, client_cert=cert, client_key=cert_key, retry=NO_RETRY) as client:
        assert client.server_info().version
    for options in ({}, {"ca": ca}):
        stranger = Client(server.target, key, retry=NO_RETRY, timeout_s=5, **options)
        with stranger, pytest.raises(Unavailable):
            stranger.server_info()
    assert server.stop() == 0


def test_a_call_whose_deadline_passes_gets_deadline_exceeded(client: Client) -> None:
    from afterimage.client import DeadlineExceeded

    client.create_collection("c")
    with pytest.raises(DeadlineExceeded):
        client.insert("c", [NewRecord(str(n), image=png(n)) for n in range(100)], timeout_s=0.02)
    assert client.count_records("c") in range(101)


def test_every_answer_carries_the_callers_request_id(server: Server, client: Client) -> None:
    from afterimage.v1 import server_info_service_pb2 as pb
    from afterimage.v1 import server_info_service_pb2_grpc as pb_grpc

    with grpc.insecure_channel(server.target) as channel:
        stub = pb_grpc.ServerInfoServiceStub(channel)
        metadata = (*client._endpoint.metadata, ("x-request-id", "shop-42"))
        _, call = stub.GetServerInfo.with_call(pb.GetServerInfoRequest(), metadata=metadata)
        assert dict(call.trailing_metadata())["x-request-id"] == "shop-42"
    assert "shop-42" in server.settled_log()
