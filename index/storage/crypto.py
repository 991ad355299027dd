"""Keys derived for one purpose each, and authenticated encryption of whole files.

Sub-keys are HKDF-SHA256 (RFC 5869) of a 256-bit data key with the purpose as `info`. Files are AES-256-GCM in frames
of 1 MiB. The nonce of a frame is a random prefix of 64 bits and a counter of 32 bits. Its associated data holds the
file's purpose, the number of the frame and whether it is the last. So frames cannot be swapped, dropped or appended.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from index.types.errors import InvalidInput, SnapshotDamaged

KEY_BYTES = 32
_MAGIC = b"AFENC001"
_FRAME_BYTES = 1 << 20
_TAG_BYTES = 16
_COPIED_BYTES = 2048
PREFIX_BYTES = len(_MAGIC) + 8


def derive_key(key: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose. Raises InvalidInput where `key` is not 32 bytes."""
    if len(key) != KEY_BYTES:
        raise InvalidInput("key", f"a data key has {KEY_BYTES} bytes, not {len(key)}")
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


def keyed_digest(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 over the parts, each preceded by its length: 32 bytes that say nothing without the key."""
    if sum(map(len, parts)) <= _COPIED_BYTES:  # one call, three times as fast
        return hmac.digest(key, b"".join(piece for p in parts for piece in (struct.pack("<Q", len(p)), p)), "sha256")
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(struct.pack("<Q", len(part)))
        mac.update(part)
    return mac.digest()


def encrypt_file(key: bytes, purpose: str, plain: bytes) -> bytes:
    """The content of an encrypted file that only `key` and the same `purpose` open."""
    return b"".join(encrypted_frames(key, purpose, plain))


def encrypted_frames(key: bytes, purpose: str, plain: bytes | memoryview) -> Iterator[bytes]:
    """The same in pieces: PREFIX_BYTES, and then one frame after another."""
    cipher, prefix, whole = AESGCM(key), os.urandom(8), memoryview(plain)
    yield _MAGIC + prefix
    starts = range(0, max(len(whole), 1), _FRAME_BYTES)
    for number, start in enumerate(starts):
        frame = whole[start : start + _FRAME_BYTES]
        last = start == starts[-1]
        yield cipher.encrypt(_nonce(prefix, number), frame, _associated(purpose, number, last))


def plain_size(encrypted_size: int) -> int:
    """How long the plain content of an encrypted file is."""
    frames = -(-(encrypted_size - PREFIX_BYTES) // (_FRAME_BYTES + _TAG_BYTES))
    return max(0, encrypted_size - PREFIX_BYTES - frames * _TAG_BYTES)


def decrypt_file(key: bytes, purpose: str, content: bytes) -> bytes:
    """The plain content. Raises SnapshotDamaged where a byte differs, is missing or is too many."""
    plain = bytearray(plain_size(len(content)))
    decrypt_into(key, purpose, content, memoryview(plain))
    return bytes(plain)


def decrypt_into(key: bytes, purpose: str, content: bytes | memoryview, plain: memoryview) -> None:
    """Writes the plain content, `plain_size` bytes, into `plain`. Raises SnapshotDamaged as `decrypt_file` does."""
    if content[: len(_MAGIC)] != _MAGIC or len(content) < PREFIX_BYTES + _TAG_BYTES:
        raise SnapshotDamaged("not an encrypted file of this program")
    cipher, prefix, whole = AESGCM(key), bytes(content[len(_MAGIC) : PREFIX_BYTES]), memoryview(content)
    step = _FRAME_BYTES + _TAG_BYTES
    starts = range(PREFIX_BYTES, len(content), step)
    try:
        for number, start in enumerate(starts):
            last = start == starts[-1]
            frame = whole[start : start + step]
            into = plain[number * _FRAME_BYTES : number * _FRAME_BYTES + len(frame) - _TAG_BYTES]
            cipher.decrypt_into(_nonce(prefix, number), frame, _associated(purpose, number, last), into)
    except (InvalidTag, ValueError) as error:
        raise SnapshotDamaged("the file does not authenticate") from error


def _nonce(prefix: bytes, number: int) -> bytes:
    return prefix + struct.pack("<I", number)


def _associated(purpose: str, number: int, last: bool) -> bytes:
    return purpose.encode() + struct.pack("<I?", number, last)
