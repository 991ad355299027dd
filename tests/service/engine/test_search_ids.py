"""Search ids: nothing but the query comes back, and only to its tenant and encoder."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import TenantDirectory
from index.storage.layout import DataDirectory
from service.engine.search_ids import LIFETIME_S, SealedQuery, from_search_id, to_search_id
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from tests.support.data.collections import SPEC, directory, vector


def refused(collection: object, text: str) -> str:
    with pytest.raises(ServiceError) as caught:
        from_search_id(collection, text)  # type: ignore[arg-type]
    assert (caught.value.reason, caught.value.field) == (Reason.ARGUMENT_INVALID, "query.search_id")
    return caught.value.message


@pytest.mark.parametrize("composed", [False, True])
@pytest.mark.parametrize("by_distance", [False, True])
def test_an_id_holds_the_vector_to_the_last_bit_for_collections_of_the_same_encoder(
    tmp_path: Path, composed: bool, by_distance: bool
) -> None:
    tenant = directory(tmp_path)
    collection, alike = tenant.create(SPEC), tenant.create(replace(SPEC, name="alike"))
    query = SealedQuery(vector(1), composed, by_distance)
    made = to_search_id(collection, query)
    assert made != to_search_id(collection, query)
    for one in (collection, alike):
        found = from_search_id(one, made)
        assert np.array_equal(found.vector, vector(1))
        assert (found.composed, found.by_distance) == (composed, by_distance)


def test_an_id_of_another_tenant_or_encoder_or_with_any_other_byte_is_refused(tmp_path: Path) -> None:
    collection = directory(tmp_path / "one").create(SPEC)
    made = to_search_id(collection, SealedQuery(vector(1)))
    other = TenantDirectory(DataDirectory(tmp_path / "two").tenant("b" * 32), bytes(32)).create(SPEC)
    newer = directory(tmp_path / "three").create(replace(SPEC, encoder_fingerprint="e" * 16))
    content = base64.urlsafe_b64decode(made)
    changed = [
        base64.urlsafe_b64encode(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]).decode()
        for at in range(len(content))
    ]
    shortened = [made[:-4], made[4:], made[:8], "A", "no id ☃", made + "!"]
    for text in (*changed, *shortened):
        refused(collection, text)
    for foreign in (other, newer):
        assert "no search id" in refused(foreign, made)


def test_an_id_ends_after_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = directory(tmp_path).create(SPEC)
    made, now = to_search_id(collection, SealedQuery(vector(1))), now_ms()
    monkeypatch.setattr("service.engine.search_ids.now_ms", lambda: now + (LIFETIME_S - 5) * 1000)
    assert np.array_equal(from_search_id(collection, made).vector, vector(1))
    monkeypatch.setattr("service.engine.search_ids.now_ms", lambda: now + (LIFETIME_S + 1) * 1000)
    assert "expired" in refused(collection, made)
