"""Encrypts the configuration of a source inside the encrypted database.

A database keeps decrypted pages in memory. Without this second layer they would contain URLs, credentials and secrets.
"""

from __future__ import annotations

import base64
import os

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from index.storage import derive_key
from service.sync.source_model import CONFIG, SourceConfig

_SEALED = "1:"
_NONCE_BYTES = 12


class ConfigSeal:
    """Encrypts under the tenant's data key. Thread-safe."""

    def __init__(self, data_key: bytes) -> None:
        self._cipher = AESGCM(derive_key(data_key, "source config"))

    def close(self, config: SourceConfig) -> str:
        """The encrypted configuration as text."""
        nonce = os.urandom(_NONCE_BYTES)
        return _SEALED + base64.b64encode(nonce + self._cipher.encrypt(nonce, CONFIG.dump_json(config), None)).decode()

    def open(self, text: str) -> SourceConfig:
        """Decrypts a configuration.

        Also reads plain JSON, which older versions stored. Raises InvalidTag if it is damaged.
        """
        if not self.is_closed(text):
            return CONFIG.validate_python(orjson.loads(text))
        sealed = base64.b64decode(text.removeprefix(_SEALED))
        said = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        return CONFIG.validate_python(orjson.loads(said))  # pydantic's JSON parser caches short strings

    @staticmethod
    def is_closed(text: str) -> bool:
        """Whether the text is encrypted. Plain JSON begins with a brace."""
        return text.startswith(_SEALED)
