"""API keys: `af_live_<id>_<secret>_<crc>`.

The id (12 characters) finds the key; the secret (43 characters, 256 random bits, base64url) proves it; the CRC-32 (8
hexadecimal digits) lets scanners and typing errors be told apart without a look-up. Only HMAC-SHA256 of the secret is
stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "af_live_"
_KEY = re.compile(r"af_live_([a-z0-9]{12})_([A-Za-z0-9_-]{43})_([0-9a-f]{8})")
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Scope(StrEnum):
    """What a key may do."""

    SEARCH = "search"
    INSERT = "insert"
    DELETE = "delete"
    EXPORT = "export"
    SYNC = "sync"
    ADMIN = "admin"
    AUDIT = "audit"
    PICTURES = "pictures"
    TRAIN = "train"


@dataclass(frozen=True)
class ApiKey:
    """A key in the clear. Exists only while it is made and while a call is authenticated."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        body = f"{PREFIX}{self.key_id}_{self.secret}"
        return f"{body}_{zlib.crc32(body.encode()):08x}"

    def __repr__(self) -> str:
        return f"ApiKey({self.key_id})"

    def digest(self, pepper: bytes) -> bytes:
        """What is stored of the secret."""
        return hmac.new(pepper, f"{self.key_id}.{self.secret}".encode(), hashlib.sha256).digest()


def new_api_key() -> ApiKey:
    """A random key."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
    return ApiKey(key_id, secrets.token_urlsafe(32))


def parse_api_key(text: str) -> ApiKey | None:
    """The key, or None where the text is not one (shape or checksum)."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    key = ApiKey(match[1], match[2])
    return key if hmac.compare_digest(str(key).encode(), text.encode()) else None


def key_id_of(text: str) -> str:
    """The id of a key that is given whole; else the text, which is an id already."""
    parsed = parse_api_key(text)
    return parsed.key_id if parsed else text
