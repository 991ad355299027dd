import dataclasses
from typing import Any

import pytest

from service.audit.chain import Signer
from service.erasure.receipts import Erased, certify, is_genuine

SIGNER = Signer(bytes(range(32)))
ERASED = Erased("a" * 32, "records", "shoes", 2, 5, ("one", "two"), 9, ("20260102T030405-1a2b3c4d",))


def test_a_receipt_is_about_its_ids_and_nothing_else() -> None:
    receipt = certify(ERASED, SIGNER)
    assert is_genuine(receipt)
    assert is_genuine(receipt, ["two", "one"])
    for others in ([], ["one"], ["one", "two", "three"]):
        assert not is_genuine(receipt, others)
    assert "one" not in str(receipt.to_dict())
    assert certify(ERASED, SIGNER).subjects != receipt.subjects


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(certify(ERASED, SIGNER))])
def test_no_field_of_a_receipt_can_be_changed(name: str) -> None:
    receipt = certify(ERASED, SIGNER)
    value = getattr(receipt, name)
    changes: dict[str, Any] = {}
    changes[name] = (
        value + 1 if isinstance(value, int) else () if isinstance(value, tuple) else "0" * len(value or "00")
    )
    assert not is_genuine(dataclasses.replace(receipt, **changes))


def test_the_signature_of_another_server_is_recognised_by_its_key() -> None:
    assert certify(ERASED, SIGNER).public_key != certify(ERASED, Signer(bytes(32))).public_key
