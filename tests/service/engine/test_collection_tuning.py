"""A collection that is tuned, below the server: weights, scores and undo as the calls see them."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest

from afterimage.v1 import collection_service_pb2 as collections_pb
from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import types_pb2 as types_pb
from index import Collection, Judgement, RecordWrite, Verdict
from index.vectors.ann.centering import CenteringTransform
from service.calls.binary import message_of
from service.calls.limits.large_responses import LargeResponses
from service.composition.data_directory import open_registry
from service.composition.server import engine_of
from service.coordination.client import Coordinator
from service.engine.engine import Engine
from service.errors import ServiceError
from service.handlers.collections import CollectionHandlers
from service.handlers.conversion.values import from_vector
from service.handlers.search import SearchHandlers
from service.metrics import Metrics
from service.settings.model import Settings
from service.tenancy.allowances import Allowances
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal
from service.tuning.reading import read_records
from tests.support.data.collections import loaded

T = TypeVar("T")
PRODUCTS = 60
Vectors = np.ndarray


class Shop:
    """One tenant with the collection `c`, whose products differ in colour more than in shape."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data_dir=folder / "data", master_key_file=folder / "key", model_threads=1)
        registry = open_registry(settings, create=True)
        metrics = Metrics()
        allowances = Allowances(registry.limits, Coordinator("redis://127.0.0.1:1").rates, metrics)
        self.engine: Engine = engine_of(settings, registry, metrics, allowances)
        self.principal = Principal(registry.create_tenant("shop").uid, "key", frozenset(Scope))
        self.collections = CollectionHandlers(self.engine)
        self._searches = SearchHandlers(self.engine, metrics, LargeResponses(20 << 20))
        self._loop = asyncio.new_event_loop()
        made = collections_pb.CreateCollectionRequest(collection=collections_pb.Collection(name="c"))
        self.first = self.run(self.collections.CreateCollection(made, self.principal)).collection
        self.collection: Collection = self.run(self.engine.collection(self.principal, "c"))
        self.blocks = self.engine.blocks_of(self.collection)
        self.vectors = self._made()
        writes = [RecordWrite(f"r{n}", v, f"p{n // 2}") for n, v in enumerate(self.vectors)]
        assert all(r.error is None for r in self.collection.upsert(writes))

    def _made(self) -> Vectors:
        rng = np.random.default_rng(0)
        parts = []
        for block, noise in zip(self.blocks, (0.4, 9.0), strict=True):
            part = np.repeat(rng.standard_normal((PRODUCTS, block.size)), 2, axis=0)
            part += noise * rng.standard_normal(part.shape)
            parts.append(part / np.linalg.norm(part, axis=1, keepdims=True) * block.share**0.5)
        return np.concatenate(parts, 1).astype(np.float32)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(call)

    def search(self, row: int = 0, k: int = 20, **options: Any) -> pb.SearchResponse:
        query = [pb.QueryTerm(vector=from_vector(self.vectors[row]))]
        return self.ask(pb.SearchRequest(collection="c", query=query, k=k, **options))

    def ask(self, request: pb.SearchRequest) -> pb.SearchResponse:
        return cast(pb.SearchResponse, message_of(self.run(self._searches.Search(request, self.principal))))

    def tune(self, **options: bool) -> collections_pb.TuneCollectionResponse:
        request = collections_pb.TuneCollectionRequest(name="c", **options)
        return self.run(self.collections.TuneCollection(request, self.principal))

    def update(self, **weights: float) -> collections_pb.Collection:
        request = collections_pb.UpdateCollectionRequest(
            name="c", default_emphasis=collections_pb.DefaultEmphasis(weights=weights)
        )
        return self.run(self.collections.UpdateCollection(request, self.principal)).collection

    def calibrate(self, pairs: list[tuple[str, str, bool]], *, apply: bool = False) -> Any:
        messages = [
            collections_pb.LabelledPair(first_record_id=a, second_record_id=b, same_product=s) for a, b, s in pairs
        ]
        request = collections_pb.CalibrateCollectionRequest(name="c", pairs=messages, apply=apply)
        return self.run(self.collections.CalibrateCollection(request, self.principal))

    def close(self) -> None:
        self.run(self.engine.close_collections(1.0))
        self.run(self.engine.close_threads())
        self._loop.close()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("tuned"))
    yield shop
    shop.close()


@pytest.fixture
def shop(opened: Shop) -> Shop:
    """The shop, whose collection is as it was made."""
    directory = opened.run(opened.engine.directory(opened.principal))
    text = opened.engine.first_tuning(opened.engine.encoder_of(opened.collection), {}).to_text()
    directory.change("c", tuning=text, learning=True)
    return opened


def ids(response: pb.SearchResponse) -> list[str]:
    return [hit.record_id for hit in response.hits]


def test_a_tuning_without_apply_reports_a_gain_and_changes_nothing(shop: Shop) -> None:
    before = shop.search()
    report = shop.tune()
    assert report.weights.doubt == ""
    assert 0 < report.weights.gain_low <= report.weights.quality_after - report.weights.quality_before
    assert report.record_count == 2 * PRODUCTS
    assert not report.changed
    assert ids(shop.search()) == ids(before)
    assert not shop.search().weights


def test_learned_weights_are_named_in_each_answer_and_order_like_the_same_emphasis(shop: Shop) -> None:
    done = shop.tune(apply=True)
    assert done.changed
    assert done.collection.learned_emphasis
    weights = dict(done.collection.default_emphasis)
    assert weights["colour"] > weights["shape"]
    tuned, asked = shop.search(), shop.search(emphasis=weights)
    assert tuned.learned_order
    assert not asked.learned_order
    assert dict(tuned.weights) == dict(asked.weights) == pytest.approx(weights)
    assert ids(tuned) == ids(asked)
    assert [h.distance for h in tuned.hits] == pytest.approx([h.distance for h in asked.hits], abs=1e-6)
    assert [h.distance for h in tuned.hits] == sorted(h.distance for h in tuned.hits)
    found = sum(ids(shop.search(row, k=2))[1] == f"r{row ^ 1}" for row in range(2 * PRODUCTS))
    plain = sum(ids(shop.search(row, k=2, emphasis={"colour": 1}))[1] == f"r{row ^ 1}" for row in range(2 * PRODUCTS))
    assert found > plain + 10


def test_an_undo_restores_order_and_scores(shop: Shop) -> None:
    before = shop.search()
    shop.tune(apply=True)
    assert shop.tune(undo=True).changed
    after = shop.search()
    assert ids(after) == ids(before)
    assert [h.score for h in after.hits] == [h.score for h in before.hits]
    assert not after.weights


def test_an_undo_of_nothing_changes_nothing_and_goes_with_no_apply(shop: Shop) -> None:
    assert not shop.tune(undo=True).changed
    with pytest.raises(ServiceError, match="cannot be combined"):
        shop.tune(undo=True, apply=True)


def test_learning_off_suspends_learned_weights_but_not_those_of_a_person(shop: Shop) -> None:
    shop.tune(apply=True)
    off = collections_pb.UpdateCollectionRequest(name="c", learning=collections_pb.LEARNING_OFF)
    shop.run(shop.collections.UpdateCollection(off, shop.principal))
    assert not shop.search().weights
    shop.update(colour=4)
    assert dict(shop.search().weights) == {"colour": 4}


def test_weights_as_a_setting_act_as_emphasis_until_a_search_has_its_own(shop: Shop) -> None:
    made = shop.update(colour=6)
    assert dict(made.default_emphasis) == {"colour": 6}
    assert not made.learned_emphasis
    assert ids(shop.search()) == ids(shop.search(emphasis={"colour": 6}))
    assert not shop.search().learned_order
    assert dict(shop.search(emphasis={"shape": 2}).weights) == {"shape": 2}
    shop.update()
    assert ids(shop.search()) == ids(shop.search(emphasis={"colour": 1}))
    assert not shop.search().weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"size": 1}, "no block 'size'"),
        ({"colour": -1}, "must be 0 to 100"),
        ({"colour": 0, "shape": 0}, "all blocks have"),
    ],
)
def test_weights_that_no_search_could_use_are_refused(shop: Shop, weights: dict[str, float], message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        shop.update(**weights)
    assert not shop.search().weights


def test_a_new_collection_is_calibrated_by_drawn_pictures_and_an_older_one_by_its_encoder(shop: Shop) -> None:
    drawn = shop.first.calibration
    assert drawn.source == types_pb.CALIBRATION_SOURCE_DRAWN
    assert shop.search().calibration == types_pb.CALIBRATION_SOURCE_DRAWN
    directory = shop.run(shop.engine.directory(shop.principal))
    directory.change("c", tuning="")  # as a collection of an earlier version
    response, score = shop.search(), shop.engine.score_of(shop.collection)
    assert response.calibration == types_pb.CALIBRATION_SOURCE_ENCODER
    assert [h.score for h in response.hits] == pytest.approx([score.score(h.distance) for h in response.hits], abs=1e-6)


def test_a_limit_of_score_is_that_of_the_scores_that_are_shown(shop: Shop) -> None:
    scores = [h.score for h in shop.search(k=100).hits]
    for least in (scores[0], scores[3], scores[50]):
        assert [h.score for h in shop.search(k=100, min_score=least).hits] == [s for s in scores if s >= least]


def test_words_follow_the_limits_of_the_collection(shop: Shop) -> None:
    limits = shop.first.calibration
    for hit in shop.search(k=100).hits:
        most = {
            types_pb.LIKENESS_SAME_PICTURE: limits.same_picture_distance,
            types_pb.LIKENESS_SAME_PRODUCT: limits.same_product_distance,
            types_pb.LIKENESS_VERY_ALIKE: limits.very_alike_distance,
            types_pb.LIKENESS_ALIKE: limits.alike_distance,
            types_pb.LIKENESS_NOT_ALIKE: 2.0,
        }
        word = next(w for w, distance in most.items() if hit.distance <= distance)
        assert hit.likeness == word
        assert (hit.likeness <= types_pb.LIKENESS_SAME_PRODUCT) == (hit.score >= 0.5)


def test_labelled_pairs_give_thresholds_and_calibrate_on_request(shop: Shop) -> None:
    pairs = [(f"r{2 * n}", f"r{2 * n + 1}", True) for n in range(PRODUCTS)]
    pairs += [(f"r{2 * n}", f"r{(2 * n + 7) % (2 * PRODUCTS)}", False) for n in range(PRODUCTS)]
    dry = shop.calibrate([*pairs, ("r0", "gone", True)])
    assert dry.pair_count == 2 * PRODUCTS
    assert dry.missing_record_ids == ["gone"]
    assert not dry.changed
    assert [t.recall for t in dry.thresholds] == sorted(t.recall for t in dry.thresholds)
    assert shop.search().calibration == types_pb.CALIBRATION_SOURCE_DRAWN
    assert shop.calibrate(pairs, apply=True).changed
    response = shop.search()
    assert response.calibration == types_pb.CALIBRATION_SOURCE_PAIRS
    assert response.hits[0].score == pytest.approx(1.0)
    shop.tune(undo=True)
    assert shop.search().calibration == types_pb.CALIBRATION_SOURCE_DRAWN


def test_judged_pairs_calibrate_and_make_records_one_product(shop: Shop) -> None:
    pairs = [(f"r{2 * n}", f"r{2 * n + 1}") for n in range(25)]
    others = [(f"r{2 * n}", f"r{2 * n + 20}") for n in range(25)]
    book = shop.collection.judged_pairs
    book.judge([Judgement(a, b, Verdict.SAME_PRODUCT) for a, b in pairs])
    book.judge([Judgement(a, b, Verdict.DIFFERENT) for a, b in others])
    found = shop.calibrate([])
    assert (found.pair_count, len(found.missing_record_ids)) == (50, 0)
    book.judge([Judgement("r0", "r100", Verdict.SAME_PRODUCT)])
    read = read_records(shop.collection)
    records = {r.record_id: r for r in read.records}
    names = {i: read.product_of(records[i]) for i in ("r0", "r1", "r100", "r101", "r2")}
    assert names["r0"] == names["r1"] == names["r100"] == names["r101"] != names["r2"]
    book.judge([Judgement(a, b, None) for a, b in [*pairs, *others, ("r0", "r100")]])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "none were judged"),
        ([("a", "b", True)], "none of the records"),
        ([("r0", "r1", True)], "at least 20 of each"),
    ],
)
def test_pairs_that_say_too_little_are_refused(shop: Shop, pairs: list[tuple[str, str, bool]], message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        shop.calibrate(pairs)


def test_weights_and_learned_means_order_together_as_a_plain_oracle_says(shop: Shop) -> None:
    index = loaded(shop.collection).index
    rng = np.random.default_rng(4)
    means = (0.1 * rng.standard_normal((2, shop.vectors.shape[1]))).astype(np.float32)
    index.learn(CenteringTransform(*means))
    try:
        shop.update(colour=5)
        query = rng.standard_normal((1, shop.vectors.shape[1]))[0].astype(np.float32)
        parts = np.split(query, [shop.blocks[0].size])
        query = np.concatenate([p / np.linalg.norm(p) * b.share**0.5 for p, b in zip(parts, shop.blocks, strict=True)])
        terms = [pb.QueryTerm(vector=from_vector(query))]
        request = pb.SearchRequest(collection="c", query=terms, k=10)
        response = shop.ask(request)
        rows = shop.vectors - means[0]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        weights = np.repeat([5.0, 1.0], [b.size for b in shop.blocks])
        order = np.argsort(-(rows @ ((query - means[1]) * weights)))[:10]
        assert len(set(ids(response)) & {f"r{n}" for n in order}) >= 9  # rows are kept in half precision
        root = np.sqrt(weights)
        for hit in response.hits:
            own = shop.vectors[int(hit.record_id[1:])] * root
            distance = 1 - (query * root) @ own / np.linalg.norm(query * root) / np.linalg.norm(own)
            assert hit.distance == pytest.approx(distance, abs=3e-3)
        assert response.learned_order
    finally:
        index.learn(None)
