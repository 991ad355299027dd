"""The server's certificate, the CA of its clients, and the revocation list of that CA.

The files are checked when a client connects. Changed ones are read again without a restart. If a file is not usable, a
warning is logged and the previous version stays in force.
"""

from __future__ import annotations

import datetime
import os
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import grpc
import structlog
from cryptography import x509

from service.errors import Reason, ServiceError, SettingError
from service.runtime.clock import SYSTEM_CLOCK, Clock

_LOG = structlog.get_logger(__name__)
Stamp = tuple[tuple[int, int, int], ...]

_SETTINGS = ("tls_cert", "tls_key", "client_ca", "client_crl")


@dataclass(frozen=True)
class TlsFiles:
    """PEM files.

    - `client_ca`: set if clients must present a certificate.
    - `client_crl`: certificates that the CA has revoked.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    client_crl: Path | None = None

    def stamp(self) -> Stamp:
        """Returns a value that changes whenever a file changes. Raises OSError."""
        found = [os.stat(f) for f in (self.cert, self.key, self.client_ca, self.client_crl) if f is not None]
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in found)


@dataclass(frozen=True)
class _Read:
    configuration: grpc.ServerCertificateConfiguration
    revoked: frozenset[int]


class Certificates:
    """The current certificates. gRPC's threads request the server's; the event loop checks those of clients."""

    def __init__(self, files: TlsFiles, clock: Clock = SYSTEM_CLOCK) -> None:
        """Raises SettingError if a file is not usable."""
        self._files, self._clock = files, clock
        self._lock = threading.Lock()
        try:
            self._stamp, self._read = files.stamp(), _read(files)
        except (OSError, ValueError) as error:
            raise SettingError(f"tls_cert, tls_key, client_ca or client_crl: {error}", _SETTINGS) from None

    def credentials(self) -> grpc.ServerCredentials:
        """Returns credentials of a port; its certificate follows the files."""
        mutual = self._files.client_ca is not None
        return grpc.dynamic_ssl_server_credentials(self._read.configuration, self._fetch, mutual)

    def read_again(self) -> None:
        """Reads changed files. Concurrent callers wait for the same read."""
        with self._lock:
            try:
                stamp = self._files.stamp()
                if stamp == self._stamp:
                    return
                self._stamp = stamp  # a fault is told once, not at every connection
                self._read = _read(self._files)
            except (OSError, ValueError) as error:
                _LOG.warning(f"the TLS files are unusable; the previous ones stay in use: {error}")
            else:
                _LOG.info("the TLS files were reloaded")

    def check(self, shown: Sequence[bytes]) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) if a client's certificate (PEM) was revoked or has expired."""
        for pem in shown:
            serial, ends = _facts(bytes(pem))
            if serial in self._read.revoked:
                raise ServiceError(Reason.CERTIFICATE_INVALID, "the client certificate was revoked")
            if ends.timestamp() < self._clock.now_s():
                raise ServiceError(Reason.CERTIFICATE_INVALID, "the client certificate has expired")

    def _fetch(self) -> grpc.ServerCertificateConfiguration:
        self.read_again()
        return self._read.configuration


@lru_cache(maxsize=1024)
def _facts(pem: bytes) -> tuple[int, datetime.datetime]:
    certificate = x509.load_pem_x509_certificate(pem)
    return certificate.serial_number, certificate.not_valid_after_utc


def _read(files: TlsFiles) -> _Read:
    """Reads and parses the files. Raises OSError or ValueError."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.cert, files.key)
    except ssl.SSLError as error:
        raise ValueError(f"{files.cert} and {files.key} are not a certificate and its key: {error.reason}") from None
    root = files.client_ca.read_bytes() if files.client_ca else None
    configuration = grpc.ssl_server_certificate_configuration(
        [(files.key.read_bytes(), files.cert.read_bytes())], root_certificates=root
    )
    return _Read(configuration, _revoked(root, files.client_crl) if root is not None else frozenset())


def _revoked(root: bytes, client_crl: Path | None) -> frozenset[int]:
    issuers = x509.load_pem_x509_certificates(root)
    if client_crl is None:
        return frozenset()
    listed = x509.load_pem_x509_crl(client_crl.read_bytes())
    if not any(i.subject == listed.issuer and listed.is_signature_valid(i.public_key()) for i in issuers):  # type: ignore[arg-type]
        raise ValueError(f"{client_crl} is not signed by a CA in client_ca")
    return frozenset(entry.serial_number for entry in listed)
