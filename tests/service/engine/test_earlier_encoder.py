import asyncio
import os
from pathlib import Path

import pytest

from index import CollectionSpec, RecordWrite, SearchQuery
from service.composition.data_directory import open_registry
from service.composition.server import engine_of
from service.config import load_settings
from service.coordination.client import Coordinator
from service.encoder.registry import EncoderRegistry
from service.engine.ingest import Ingest, RecordInput
from service.engine.pictures import PictureSource
from service.engine.query import QueryTerm, encode_query
from service.errors import ServiceError
from service.metrics import Metrics
from service.settings.model import Settings
from service.tenancy.allowances import Allowances
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal
from tests.support.data.encoders import ONE_CORE
from tests.support.data.pictures import png

FIRST_VERSION = ("builtin", "b34be06d846129d6", 384)
SECOND_VERSION = ("builtin", "86791ff91da434cf", 448)


def settings_in(folder: Path) -> Settings:
    given = {"data_dir": folder / "data", "master_key_file": folder / "master.key", "max_batch_size": 8}
    return load_settings({**given, "model_threads": 1}).settings


async def in_a_collection_of(version: tuple[str, str, int], folder: Path, emphasis: dict[str, float]) -> list[str]:
    """Inserts five pictures into a collection made before the built-in encoder changed, and searches with the third."""
    settings = settings_in(folder)
    registry = open_registry(settings, create=True)
    metrics = Metrics()
    allowances = Allowances(registry.limits, Coordinator("unix:///none").rates, metrics)
    engine = engine_of(settings, registry, metrics, allowances)
    await engine.pictures.start("")
    owner = Principal(registry.create_tenant("shop").uid, "key", frozenset(Scope))
    try:
        (await engine.directory(owner)).create(CollectionSpec("old", *version))
        records = [RecordInput(RecordWrite(str(n), None), PictureSource(image=png(n))) for n in range(5)]
        await Ingest(engine).insert(owner, "old", records, insert_only=False)
        term = QueryTerm(picture=PictureSource(image=png(3)))
        collection = await engine.collection(owner, "old")
        query = await encode_query(engine, owner, collection, [term], emphasis)
        return [hit.record.record_id for hit in collection.search(SearchQuery(query.vector, 2)).hits]
    finally:
        await engine.pictures.close()
        engine.spaces.close()
        registry.close()
        engine.workers.close()


@pytest.mark.parametrize("version", [FIRST_VERSION, SECOND_VERSION], ids=["first", "second"])
def test_a_collection_of_an_earlier_built_in_encoder_goes_on_taking_pictures(
    tmp_path: Path, version: tuple[str, str, int]
) -> None:
    assert os.listdir(tmp_path) == []
    assert asyncio.run(in_a_collection_of(version, tmp_path, {}))[0] == "3"


def test_a_collection_of_the_second_version_weighs_its_blocks(tmp_path: Path) -> None:
    assert asyncio.run(in_a_collection_of(SECOND_VERSION, tmp_path, {"colour": 2.0}))[0] == "3"


def test_its_vectors_have_no_blocks_to_weigh_and_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no named blocks"):
        asyncio.run(in_a_collection_of(FIRST_VERSION, tmp_path, {"colour": 2.0}))


def test_new_collections_get_the_present_version_and_both_are_never_mixed() -> None:
    encoders = EncoderRegistry(None, "builtin", ONE_CORE)
    present = encoders.manifest("")
    earlier = [encoders.pinned(*version[:2]) for version in (FIRST_VERSION, SECOND_VERSION)]
    assert [m.version for m in earlier if m] == ["1", "2"]
    assert present.version == "3"
    assert present.fingerprint not in [m.fingerprint for m in earlier if m]
    assert [m.id for m in encoders.manifests()] == ["builtin"]
    assert encoders.pinned("builtin", "0" * 16) is None
