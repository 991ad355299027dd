"""Links: they cannot be forged, read or changed, and are valid for an hour at most."""

import base64
import os
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.errors import Reason, ServiceError
from service.objects.links import Linked, Links
from tests.support.manual_clock import ManualClock

KEY = bytes(range(32))
LINKED = Linked("t" * 32, "picture", "c" * 32, "o" * 32, "abcdefghijkl")


def refused(links: Links, token: str) -> Reason:
    with pytest.raises(ServiceError) as caught:
        links.read(token)
    return caught.value.reason


def test_a_link_leads_to_what_it_was_made_for_until_it_ends() -> None:
    clock = ManualClock()
    links = Links(KEY, clock)
    token, expires_ms = links.make(LINKED, 10)
    assert expires_ms == int(clock.now + 600) * 1000
    assert links.read(token) == LINKED
    clock.now += 599
    assert links.read(token) == LINKED
    clock.now += 1
    assert refused(links, token) is Reason.LINK_EXPIRED


@pytest.mark.parametrize("minutes", [0, -1, 61, 10_000])
def test_no_link_is_made_for_longer_than_an_hour(minutes: int) -> None:
    with pytest.raises(ServiceError, match="1 to 60 minutes"):
        Links(KEY).make(LINKED, minutes)


def test_a_token_that_claims_more_than_an_hour_ends_after_one() -> None:
    clock = ManualClock()
    plain = struct.pack("<QB", int(clock.now), 255) + "\n".join(LINKED.__dict__.values()).encode()
    nonce = os.urandom(12)
    sealed = b"\x01" + nonce + AESGCM(KEY).encrypt(nonce, plain, b"\x01")  # only the server itself could
    token = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
    links = Links(KEY, clock)
    clock.now += 3599
    assert links.read(token) == LINKED
    clock.now += 1
    assert refused(links, token) is Reason.LINK_EXPIRED


def test_a_link_from_the_future_is_refused() -> None:
    clock = ManualClock()
    links = Links(KEY, clock)
    token, _ = links.make(LINKED, 60)
    clock.now -= 60
    assert refused(links, token) is Reason.LINK_EXPIRED


def test_any_changed_character_makes_a_link_invalid() -> None:
    links = Links(KEY, ManualClock())
    token, _ = links.make(LINKED, 10)
    for place in range(len(token) - 1):  # the last character has bits that mean nothing
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert refused(links, changed) is Reason.LINK_INVALID
    for other in ("", "x", token[:-8], token + token, "ü" * 40):
        assert refused(links, other) is Reason.LINK_INVALID


def test_a_link_of_another_deployment_is_invalid_and_a_token_tells_nothing() -> None:
    token, _ = Links(bytes(32), ManualClock()).make(LINKED, 10)
    assert refused(Links(KEY, ManualClock()), token) is Reason.LINK_INVALID
    opened = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert not any(part.encode() in opened for part in LINKED.__dict__.values())
