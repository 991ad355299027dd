"""The master key: 32 random bytes that wrap every tenant's data key.

It is stored in a file outside the data directory, so that a backup of the data alone is useless. Alternatively it comes
from the environment, or from a command such as that of a key-management service.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shlex
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from index.storage import KEY_BYTES, derive_key
from service.errors import SettingError
from service.runtime.child_process import run_command

_NONCE_BYTES = 12
_COMMAND_S = 30.0


class MasterKey:
    """Wraps data keys with AES-256-GCM, and derives further keys with HKDF-SHA256."""

    def __init__(self, secret: bytes) -> None:
        self._wrapping = AESGCM(derive_key(secret, "wrap data keys"))
        self._secret = secret

    def wrap(self, data_key: bytes, owner: str) -> bytes:
        """The data key, encrypted and bound to its owner's uid."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, data_key, owner.encode())

    def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        """The data key. Raises SettingError if another master key wrapped it."""
        try:
            return self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], owner.encode())
        except InvalidTag:
            raise SettingError.about(
                "master_key_file", "the tenant's data key was not wrapped with this master key"
            ) from None

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose."""
        return derive_key(self._secret, purpose)


def load_master_key(path: Path, from_environment: str | None, *, create: bool) -> MasterKey:
    """The master key from the environment (base64), else from the file, which is created if `create` is set.

    Raises SettingError if it is missing, malformed or readable by others.
    """
    if from_environment:
        return MasterKey(_decode(from_environment, "AFTERIMAGE_MASTER_KEY"))
    if not path.exists():
        if not create:
            raise SettingError.about(
                "master_key_file", f"{path} does not exist, but the data directory does; restore the file"
            )
        _write_new(path)
    if not path.is_file():
        raise SettingError.about("master_key_file", f"{path} is not a file; restore the master key")
    if path.stat().st_mode & 0o077:
        raise SettingError.about("master_key_file", f"{path} is readable by others; run: chmod 600 {path}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingError.about("master_key_file", f"{path} cannot be read: {error.strerror}") from None
    return MasterKey(_decode(content.decode(errors="replace").strip(), str(path)))


def printed_master_key(command: str) -> str:
    """The output of a command, such as that of a key-management service. Raises SettingError if it fails."""
    try:
        status, output, errors = run_command(shlex.split(command), _COMMAND_S)
    except (OSError, ValueError) as error:  # a timeout too
        raise SettingError.about("master_key_command", f"{type(error).__name__}: {error}") from None
    if status or not output.strip():
        raise SettingError.about("master_key_command", f"ended with {status} and no key; {errors.strip()[:200]}")
    return output.strip()


def exported_key(tenant_uid: str, wrapped: bytes, region: str = "") -> str:
    """A tenant's wrapped key as a file for another machine. It is useless without the master key.

    `region`: where the tenant's data must be.
    """
    content = {"tenant_uid": tenant_uid, "wrapped_key": base64.b64encode(wrapped).decode(), "region": region}
    return json.dumps(content) + "\n"


def read_exported_key(path: Path) -> tuple[str, bytes, str]:
    """The tenant's uid, wrapped key and region from a file of `exported_key`. Raises SettingError."""
    try:
        content = json.loads(path.read_bytes())
        return str(content["tenant_uid"]), base64.b64decode(content["wrapped_key"]), str(content.get("region", ""))
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(f"{path} is not a file of `afterimage tenants export-key`") from None


def new_key_text() -> str:
    """A random master key as file content."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode() + "\n"


def _write_new(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(new_key_text())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # fails if another process was first; its key is then used
        except FileExistsError:
            pass
    finally:
        temporary.unlink()


def _decode(text: str, where: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise SettingError(f"{where}: a master key must be {KEY_BYTES} bytes in base64")
    return secret
