"""TLS files are read again at new connections, by one thread at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from service.runtime import certificates as module
from service.runtime.certificates import Certificates, TlsFiles
from tests.support.servers.tls import issue, make_certificates


def test_whoever_connects_while_new_files_are_read_is_given_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_certificates(tmp_path, "spiffe://shop.example/search")
    served = Certificates(TlsFiles(made.server_cert, made.server_key))
    before, reads, go_on = served.newest(), threading.Event(), threading.Event()
    read, given = module._read, []

    def slow(files: TlsFiles) -> object:
        reads.set()
        assert go_on.wait(60)
        return read(files)

    monkeypatch.setattr(module, "_read", slow)
    issue(tmp_path, "server")
    threads = [threading.Thread(target=lambda: given.append(served.newest())) for _ in range(2)]
    threads[0].start()
    assert reads.wait(60)
    threads[1].start()
    threads[1].join(0.2)  # it would be back at once if it did not wait
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert given == [served.newest()] * 2
    assert given[0] is not before
