"""How a collection recognises a picture that it has seen, without keeping it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from index.storage.crypto import derive_key, keyed_digest
from index.types.record import Region


@dataclass(frozen=True)
class PictureDigests:
    """Of one collection. key: 32 bytes, good for this alone. encoder_fingerprint: another encoder makes other vectors
    of the same picture."""

    key: bytes = field(repr=False)
    encoder_fingerprint: str

    def of(self, picture: bytes, region: Region | None) -> bytes:
        """A keyed digest of a picture and its region, 32 bytes: equal for equal input, meaningless without the key."""
        crop = b"" if region is None else struct.pack("<4f", region.left, region.top, region.right, region.bottom)
        return keyed_digest(self.key, picture, crop, self.encoder_fingerprint.encode())

    def of_url(self, url: str, region: Region | None = None) -> bytes:
        """The same of a picture's place."""
        return self.of(b"url\0" + url.encode(), region)


def digest_key(data_key: bytes) -> bytes:
    """The key of the digests, 32 bytes, derived from the tenant's data key."""
    return derive_key(data_key, "content digest")
