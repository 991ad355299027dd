"""TLS files are read again at new connections, by one thread at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from service.errors import SettingError
from service.runtime import certificates as module
from service.runtime.certificates import Certificates, TlsFiles, names_in
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


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    key = serialization.load_pem_private_key(made.server_key.read_bytes(), None)
    made.server_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(SettingError, match=r"server.key are not a certificate and its key"):
        Certificates(TlsFiles(made.server_cert, made.server_key))


def test_names_are_read_from_both_encodings(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, "spiffe://shop.example/search", "spiffe://shop.example/other")
    pem = made.client_cert.read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    assert names_in(pem) == names_in(der) == ("spiffe://shop.example/search", "spiffe://shop.example/other")
    assert names_in(made.server_cert.read_bytes()) == ("localhost", "127.0.0.1")
