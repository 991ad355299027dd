"""Signatures of pushes, against another implementation of HMAC."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Reason, ServiceError
from service.sync.pushes import signatures
from service.sync.pushes.signatures import Signature, UsedSignatures, check_signature, read_signature

NOW = 1_800_000_000


def plain_hmac(secret: str, message: bytes) -> str:
    """RFC 2104, by hand."""
    key = secret.encode()
    key = (sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = sha256(bytes(b ^ 0x36 for b in key) + message).digest()
    return sha256(bytes(b ^ 0x5C for b in key) + inner).hexdigest()


@given(st.text("abcXYZ-_09", min_size=1, max_size=90), st.binary(max_size=200), st.integers(-300, 300))
def test_what_another_implementation_signs_is_accepted_and_nothing_else(secret: str, body: bytes, ago: int) -> None:
    digest = plain_hmac(secret, f"{NOW - ago}.".encode() + body)
    signature = read_signature(f"t={NOW - ago},v1={digest}", NOW)
    check_signature(signature, body, ("other", secret))
    for wrong in ((signature, body + b"x", (secret,)), (signature, body, ("other",)),
                  (Signature(signature.seconds + 1, digest), body, (secret,))):  # fmt: skip
        with pytest.raises(ServiceError) as refused:
            check_signature(*wrong)
        assert refused.value.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "header",
    ["", "x", f"t={NOW}", f"t={NOW},v1=", f"t={NOW},v1={'g' * 64}",
     f"t=-{NOW},v1={'a' * 64}", f"t=\u0661,v1={'a' * 64}",
     f"t={NOW - 301},v1={'a' * 64}", f"t={NOW + 301},v1={'a' * 64}", f"t={'9' * 400},v1={'a' * 64}"],
)  # fmt: skip
def test_a_header_without_a_present_signature_is_refused(header: str) -> None:
    with pytest.raises(ServiceError) as refused:
        read_signature(header, NOW)
    assert refused.value.reason is Reason.SIGNATURE_INVALID


def test_a_signature_is_taken_once_unless_its_push_failed() -> None:
    used, one = UsedSignatures(), Signature(NOW + 299, "a" * 64)
    used.take("s", one, NOW)
    used.take("other", one, NOW)
    with pytest.raises(ServiceError, match="used before"):
        used.take("s", one, NOW + 599)
    used.give_back("s", one)
    used.take("s", one, NOW)


def test_the_memory_of_signatures_is_bounded_and_forgets_only_expired_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_MOST_OF_SOURCE", 3)
    used = UsedSignatures()
    for n in range(3):
        used.take("s", Signature(NOW, str(n)), NOW)
    with pytest.raises(ServiceError) as refused:
        used.take("s", Signature(NOW, "more"), NOW)
    assert refused.value.reason is Reason.OVERLOADED
    used.take("other", Signature(NOW, "more"), NOW)
    used.take("s", Signature(NOW + 301, "later"), NOW + 301)
