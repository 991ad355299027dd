"""The search for erased data: byte strings, and a thousand records with ids, URLs and vectors."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np

from index import DataDirectory, KeptPicture, PicturePolicy, RecordWrite, TenantDirectory
from service.erasure.traces import Evidence, _Needles, search
from service.objects.sealed import SealedObjects
from service.objects.store import ObjectStore
from tests.support.data.collections import KEY, SPEC, vector


def test_needles_are_found_at_every_offset_and_nothing_else_is() -> None:
    chance = random.Random(3)
    needles = [chance.randbytes(size) for size in (6, 7, 8, 9, 32, 32, 100)]
    sought = _Needles({needle: str(number) for number, needle in enumerate(needles)})
    for start in range(20):
        for number, needle in enumerate(needles):
            block = bytes(start) + needle + bytes(chance.randrange(9))
            assert list(sought.found_in(block)) == [str(number)], (start, number)
            assert list(sought.found_in(block.replace(needle, needle[:-1]))) == []
    assert list(sought.found_in(b"")) == []


def test_needles_that_begin_alike_are_distinguished() -> None:
    sought = _Needles({b"beginning-one": "one", b"beginning-two": "two"})
    assert list(sought.found_in(b"..beginning-two..")) == ["two"]


def test_a_thousand_erased_ids_urls_vectors_and_copies_are_nowhere(tmp_path: Path) -> None:
    layout = DataDirectory(tmp_path).tenant("a" * 32)
    tenant = TenantDirectory(layout, KEY)
    objects = SealedObjects(ObjectStore(tmp_path / "objects"), lambda _: KEY)
    urls = tenant.create(replace(SPEC, name="urls", picture_policy=PicturePolicy.REFERENCE))
    copies = tenant.create(replace(SPEC, name="copies", picture_policy=PicturePolicy.ENCRYPTED_COPY))
    ids = [f"record-{n:05}-of-a-seller" for n in range(1200)]
    links = [f"https://shop.example/{n:05}.jpg" for n in range(1200)]
    urls.upsert(
        [RecordWrite(i, vector(n), kept=KeptPicture(url=u)) for n, (i, u) in enumerate(zip(ids, links, strict=True))]
    )
    for record_id in ids[:20]:
        copies.pictures.announce(record_id)
        objects.put("a" * 32, copies.pictures.home, record_id, f"picture of {record_id}".encode())
    copies.upsert([RecordWrite(i, vector(n), kept=KeptPicture(i, 30)) for n, i in enumerate(ids[:20])])
    urls.keep_snapshot()
    gone = Evidence([*ids[:1000], *links[:1000]], np.stack([vector(n) for n in range(1000)]))
    assert len(search(layout, KEY, gone, objects.all_opened("a" * 32)).traces) > 3000
    assert urls.erase(ids[:1000]).records == 1000
    assert copies.erase(ids[:20]).records == 20
    objects.delete("a" * 32, copies.pictures.home, copies.pictures.loose())
    copies.pictures.forget_loose(copies.pictures.loose())
    copies.snapshot()
    found = search(layout, KEY, gone, objects.all_opened("a" * 32))
    assert found.traces == ()
    assert search(layout, KEY, Evidence(links[1000:], gone.vectors[:0])).traces
    tenant.close()


def test_a_live_record_with_the_same_vector_is_distinguished_from_a_trace(tmp_path: Path) -> None:
    layout = DataDirectory(tmp_path).tenant("a" * 32)
    tenant = TenantDirectory(layout, KEY)
    shoes, sale = (tenant.create(replace(SPEC, name=name)) for name in ("shoes", "sale"))
    shoes.upsert([RecordWrite("erased-record", vector(1)), RecordWrite("alone-record", vector(2))])
    shoes.upsert([RecordWrite("its-twin", vector(1)), RecordWrite("bystander", vector(3))])
    sale.upsert([RecordWrite("erased-record", vector(1)), RecordWrite("other-record", vector(4))])
    gone = np.stack([vector(1), vector(2)])
    gone /= np.linalg.norm(gone, axis=1, keepdims=True)  # as records are stored
    evidence = Evidence(["erased-record", "alone-record"], gone, "shoes")
    assert search(layout, KEY, evidence).traces
    shoes.erase(["erased-record", "alone-record"])
    found = search(layout, KEY, evidence)
    assert found.traces == ()
    assert sorted((s.collection, s.record_id, s.what) for s in found.shared) == [
        ("sale", "erased-record", "id"), ("sale", "erased-record", "vector"), ("shoes", "its-twin", "vector"),
    ]  # fmt: skip
    nowhere_known = search(layout, KEY, Evidence(evidence.strings, gone))  # evidence of an earlier version
    assert [t.what for t in nowhere_known.traces if "id" in t.what]
    assert [(s.collection, s.record_id) for s in nowhere_known.shared] == [("shoes", "its-twin")]
    # What must not be there is still found beside the twin: the other vector, in a file of nobody's.
    (layout.root / "left-behind.json").write_bytes(gone[1].tobytes() + gone[0].tobytes())
    assert {t.file for t in search(layout, KEY, evidence).traces} == {"left-behind.json"}
    shoes.upsert([RecordWrite("erased-record", vector(1))])  # it came back: that is no other record
    assert any(t.what.startswith("id") for t in search(layout, KEY, replace(evidence, vectors=gone[:0])).traces)
    tenant.close()
