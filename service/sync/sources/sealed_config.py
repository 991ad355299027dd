"""A source's configuration as it is stored: sealed once more within the encrypted database, since a database keeps the
pages that it read in memory, in the clear, and with them URLs, credentials and secrets."""

from __future__ import annotations

import base64
import os

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from index.storage import derive_key
from service.sync.model import CONFIG, SourceConfig

_SEALED = "1:"
_NONCE_BYTES = 12


class ConfigSeal:
    """Under the tenant's data key; safe to share between threads."""

    def __init__(self, data_key: bytes) -> None:
        self._cipher = AESGCM(derive_key(data_key, "source config"))

    def close(self, config: SourceConfig) -> str:
        """Text that says nothing without the key."""
        nonce = os.urandom(_NONCE_BYTES)
        return _SEALED + base64.b64encode(nonce + self._cipher.encrypt(nonce, CONFIG.dump_json(config), None)).decode()

    def open(self, text: str) -> SourceConfig:
        """What was sealed, or stored by a version that did not. Raises InvalidTag where it is damaged."""
        if not self.is_closed(text):
            return CONFIG.validate_python(orjson.loads(text))
        sealed = base64.b64decode(text.removeprefix(_SEALED))
        said = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        return CONFIG.validate_python(orjson.loads(said))  # pydantic's own reader of JSON keeps short texts in a cache

    @staticmethod
    def is_closed(text: str) -> bool:
        """Whether it is sealed; JSON begins with a brace."""
        return text.startswith(_SEALED)
