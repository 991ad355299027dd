"""The certificate of the server's ports, the CA of their clients, and the revocation list of that CA.

The files are checked when a client connects. Changed ones are read again without a restart. If a file is not usable, a
warning is logged and the previous version stays in force.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.x509.oid import NameOID

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
class TlsContents:
    """One version of the files.

    - `cert`, `key`, `client_ca`: PEM.
    - `names`: names in the server's certificate.
    - `revoked`: serial numbers.
    - `context`: for a server of Python's `ssl`. It verifies client certificates against `client_ca`, and lets clients
      without one connect.
    """

    cert: bytes
    key: bytes
    client_ca: bytes | None
    names: tuple[str, ...]
    revoked: frozenset[int]
    context: ssl.SSLContext


class Certificates:
    """The current certificates. For any thread."""

    def __init__(self, files: TlsFiles, clock: Clock = SYSTEM_CLOCK) -> None:
        """Raises SettingError if a file is not usable."""
        self._files, self._clock = files, clock
        self._lock = threading.Lock()
        try:
            self._stamp, self._read = files.stamp(), _read(files)
        except (OSError, ValueError) as error:
            raise SettingError(f"tls_cert, tls_key, client_ca or client_crl: {error}", _SETTINGS) from None

    @property
    def asks_clients(self) -> bool:
        """Whether clients must present a certificate."""
        return self._files.client_ca is not None

    @property
    def contents(self) -> TlsContents:
        """The version in use. Reads no file."""
        return self._read

    def newest(self) -> TlsContents:
        """Reads changed files; returns the version in use."""
        self.read_again()
        return self._read

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

    def check(self, shown: Iterable[bytes]) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) if a client's certificate (PEM or DER) was revoked or has
        expired."""
        for content in shown:
            facts = _facts(bytes(content))
            if facts.serial in self._read.revoked:
                raise ServiceError(Reason.CERTIFICATE_INVALID, "the client certificate was revoked")
            if facts.ends_s < self._clock.now_s():
                raise ServiceError(Reason.CERTIFICATE_INVALID, "the client certificate has expired")


def names_in(certificate: bytes) -> tuple[str, ...]:
    """Returns the subject alternative names of a certificate (PEM or DER), or the common name if there are none."""
    return _facts(certificate).names


@dataclass(frozen=True)
class _Facts:
    serial: int
    ends_s: float
    names: tuple[str, ...]


@lru_cache(maxsize=1024)
def _facts(content: bytes) -> _Facts:
    is_pem = content.startswith(b"-----")
    certificate = x509.load_pem_x509_certificate(content) if is_pem else x509.load_der_x509_certificate(content)
    return _Facts(certificate.serial_number, certificate.not_valid_after_utc.timestamp(), _names(certificate))


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        alternative = x509.SubjectAlternativeName([])
    kinds = (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name, x509.IPAddress)
    if names := tuple(str(name.value) for name in alternative if isinstance(name, kinds)):
        return names
    return tuple(str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME))


def _read(files: TlsFiles) -> TlsContents:
    """Reads and parses the files. Raises OSError or ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.cert, files.key, password=lambda: "")  # else OpenSSL asks at the terminal
    except ssl.SSLError as error:
        reason = error.reason or "the key has a passphrase, or a file is damaged"
        raise ValueError(f"{files.cert} and {files.key} are not a certificate and its key: {reason}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    root = files.client_ca.read_bytes() if files.client_ca else None
    revoked: frozenset[int] = frozenset()
    if root is not None:
        revoked = _revoked(root, files.client_crl)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(files.client_ca)
    chain = files.cert.read_bytes()
    return TlsContents(chain, files.key.read_bytes(), root, names_in(chain), revoked, context)


def _revoked(root: bytes, client_crl: Path | None) -> frozenset[int]:
    issuers = x509.load_pem_x509_certificates(root)
    if client_crl is None:
        return frozenset()
    listed = x509.load_pem_x509_crl(client_crl.read_bytes())
    if not any(i.subject == listed.issuer and listed.is_signature_valid(i.public_key()) for i in issuers):  # type: ignore[arg-type]
        raise ValueError(f"{client_crl} is not signed by a CA in client_ca")
    return frozenset(entry.serial_number for entry in listed)
