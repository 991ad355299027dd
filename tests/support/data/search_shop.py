"""A real engine in this process with one collection, used as through the API, beside a dict with the expected
content."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import types_pb2 as types_pb
from index import Collection, PicturePolicy, RecordPatch, RecordWrite
from index.vectors.ann.centering import CenteringTransform
from service.calls.binary import message_of
from service.calls.limits.call_limiter import CallLimiter, CallLimits
from service.calls.limits.large_responses import LargeResponses
from service.composition.data_directory import open_registry
from service.composition.server import engine_of
from service.coordination.client import Coordinator
from service.encoder.manifest import Manifest, ScoreSpec
from service.engine.engine import Engine, NewCollection
from service.handlers.conversion.values import from_vector
from service.handlers.search import SearchHandlers
from service.metrics import Metrics
from service.settings.model import Settings
from service.tenancy.allowances import Allowances
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal
from tests.support.data.collections import loaded
from tests.support.data.filters import Predicate, random_attributes, random_filter
from tests.support.data.pictures import encode, noise, png
from tests.support.oracles.search_oracle import Asked, Held, Learned, Oracle
from tests.support.servers.shop import Shop

_PICTURES = 6
_DONORS = 6  # records that share a block with many others
_SIDES = ("left", "top", "right", "bottom")
_CLUSTERS = 40
_LARGEST_ANSWER = 20 << 20
_EXACT = (pb.SEARCH_PATH_EMPTY, pb.SEARCH_PATH_EXACT, pb.SEARCH_PATH_EXACT_FILTERED)
_NOWHERE = "redis://127.0.0.1:1"  # never spoken to: no tenant here has a limit


@dataclass(frozen=True)
class SearchedPicture:
    """A picture to search with, or a region of it, and its vector."""

    image: bytes
    url: str
    region: tuple[float, float, float, float] | None
    vector: NDArray[np.float32]


@dataclass
class Kinds:
    """Requests by kind: their number, and the recall of each."""

    shares: dict[str, list[float]] = field(default_factory=dict)

    def add(self, request: pb.SearchRequest, share: float) -> None:
        """Counts a request under each of its kinds."""
        for kind in kinds_of(request):
            self.shares.setdefault(kind, []).append(share)

    def join(self, others: Kinds) -> None:
        """Adds the counts of another run."""
        for kind, shares in others.shares.items():
            self.shares.setdefault(kind, []).extend(shares)

    def missing(self, share: float, *, of_at_least: int = 1) -> list[str]:
        """Kinds whose mean recall is too low; those with few requests are ignored."""
        return [k for k, s in self.shares.items() if len(s) >= of_at_least and np.mean(s) < share]

    def table(self) -> str:
        """One line for each kind: number of requests, and mean recall."""
        return "\n".join(f"{k:24} {len(s):8} {np.mean(s):.4f}" for k, s in sorted(self.shares.items()))


def kinds_of(request: pb.SearchRequest) -> list[str]:
    """What a request asks for in addition to the nearest records."""
    weights = [t.weight for t in request.query]
    shape = request.emphasis.get("shape", 1.0)
    kinds = {
        "plain": len(weights) == 1 and not request.emphasis,
        "terms": len(weights) > 1,
        "negative": min(weights) < 0,
        "emphasis": bool(request.emphasis),
        "emphasis shape 0": bool(request.emphasis) and shape == 0,
        "emphasis shape 0 filter": bool(request.emphasis) and shape == 0 and bool(request.filter),
        "filter": bool(request.filter),
        "group": bool(request.group_by),
        "offset": request.offset > 0,
        f"offset {request.offset}": request.offset > 0,
        "exclude": bool(request.exclude_record_ids),
        "only": bool(request.only_record_ids),
        "max_distance": request.HasField("max_distance"),
        "min_score": request.HasField("min_score"),
        "picture": any(t.image or t.url for t in request.query),
        "picture by url": any(t.url for t in request.query),
        "region": any(t.HasField("region") for t in request.query),
        "search id": any(t.search_id for t in request.query),
        "feedback": request.HasField("feedback"),
    }
    return ["all", *(kind for kind, holds in kinds.items() if holds)]


class SearchShop:
    """Close it at the end."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.judging = random.Random(seed)
        self._settings = Settings(
            data_dir=folder / "data", master_key_file=folder / "key", model_threads=1, max_batch_size=8,
            decode_processes=1, fetch_networks=("127.0.0.1/32",), fetch_rate_per_host=1000.0,
        )  # fmt: skip
        self._ends, self._host = ExitStack(), Shop()
        self._ends.enter_context(self._host.running())
        self.held: dict[str, Held] = {}
        self._written = 0
        self._tenant = ""
        self._loop = asyncio.new_event_loop()
        self._start()
        self.collection: Collection = self._run(self._made())
        self.manifest: Manifest = self.engine.encoder_of(self.collection)
        blocks = self.manifest.output.blocks
        self._centers = [self.numbers.standard_normal((_CLUSTERS, b.size)) for b in blocks]
        self._common = [0.5 * self.numbers.standard_normal(b.size) for b in blocks]
        self._pictures = [self._picture(number) for number in range(_PICTURES)]
        self.filters: list[tuple[str, Predicate]] = []

    def _start(self) -> None:
        self._registry = open_registry(self._settings, create=not self._tenant)
        self._tenant = self._tenant or self._registry.create_tenant("shop").uid
        metrics = Metrics()
        allowances = Allowances(self._registry.limits, Coordinator(_NOWHERE).rates, metrics)
        self.engine: Engine = engine_of(self._settings, self._registry, metrics, allowances)
        self._limiter = CallLimiter(CallLimits(64, 64, 1 << 30, _LARGEST_ANSWER, 30.0, 30.0, 30.0), metrics)
        self._handlers = SearchHandlers(self.engine, metrics, LargeResponses(_LARGEST_ANSWER))
        self.principal = Principal(self._tenant, "key", frozenset(Scope))
        self._run(self.engine.pictures.start("builtin"))

    async def _made(self) -> Collection:
        wanted = NewCollection("c", "builtin", "", True, PicturePolicy.DISCARD)
        return await self.engine.create_collection(self.principal, wanted)

    def _picture(self, number: int) -> SearchedPicture:
        """Every second one has a region, whose vector is that of the part cut out by another library."""
        whole, image, region = noise(number), png(number), None
        self._host.pictures[f"/{number}.png"] = image
        part = whole
        if number % 2:
            left, top = self.chance.uniform(0, 0.6), self.chance.uniform(0, 0.6)
            sides = (left, top, self.chance.uniform(left + 0.2, 1), self.chance.uniform(top + 0.2, 1))
            one, two, three, four = (float(np.float32(side)) for side in sides)  # as it travels
            region = one, two, three, four
            width, height = whole.size
            part = whole.crop((
                int(region[0] * width), int(region[1] * height),
                math.ceil(region[2] * width), math.ceil(region[3] * height),
            ))  # fmt: skip
        return SearchedPicture(
            image, f"{self._host.address}/{number}.png", region, self._run(self._vector(encode(part)))
        )  # fmt: skip

    async def _vector(self, image: bytes) -> NDArray[np.float32]:
        request = pb.EncodeRequest(pictures=[pb.PictureInput(image=image)])
        answer = await self._handlers.Encode(request, self.principal)
        return np.frombuffer(answer.pictures[0].vector, "<f4")

    def _run(self, coroutine: Any) -> Any:
        async def as_the_shop() -> Any:
            lease = self._limiter.enter((self.principal.tenant_uid, "key", "peer"), stream=False)
            try:
                return await coroutine
            finally:
                lease.close()

        return self._loop.run_until_complete(as_the_shop())

    # ---- writing

    def vector(self) -> NDArray[np.float32]:
        """A vector near one of several centres, whose blocks have the lengths of the encoder's."""
        cluster, parts = self.chance.randrange(_CLUSTERS), []
        for block, centers, common in zip(self.manifest.output.blocks, self._centers, self._common, strict=True):
            part = common + centers[cluster] + 0.7 * self.numbers.standard_normal(block.size)
            parts.append(part / np.linalg.norm(part) * block.share**0.5)
        whole = np.concatenate(parts)
        return np.asarray(whole / np.linalg.norm(whole), np.float32)

    def _given(self, known: list[Held]) -> NDArray[np.float32]:
        """A vector for a record: mostly new; some are copied from another record, completely or in one block."""
        kind = self.chance.random() if known else 1.0
        if kind < 0.06:
            return self.chance.choice(known).vector
        made = self.vector()
        if kind < 0.2:
            block = self.chance.randrange(len(self.manifest.output.blocks))
            start = sum(b.size for b in self.manifest.output.blocks[:block])
            end = start + self.manifest.output.blocks[block].size
            made[start:end] = self.chance.choice(known[:_DONORS]).vector[start:end]
        return made

    def upsert(self, names: list[str]) -> None:
        """Writes records."""
        writes = []
        known = list(self.held.values())
        for name in names:
            given = self._given(known)
            product = f"p{self.chance.randrange(60)}" if self.chance.random() < 0.8 else ""
            attributes = random_attributes(self.chance)
            writes.append(RecordWrite(name, given, product, attributes))
            self._written += 1
            self.held[name] = Held(given, product, attributes, self._written)
            known.append(self.held[name])
        for start in range(0, len(writes), 500):
            assert all(r.error is None for r in self.collection.upsert(writes[start : start + 500]))
        for name, record in self.collection.get(names, vectors=True).items():  # rounded as it was stored
            assert record.vector is not None
            assert np.allclose(record.vector, self.held[name].vector, atol=1e-6)
            self.held[name].vector = record.vector

    def change(self, share: float) -> None:
        """Deletes some records, rewrites some, and changes attributes of some."""
        names = list(self.held)
        count = int(len(names) * share)
        gone = self.chance.sample(names, count)
        assert self.collection.delete(gone) == count
        for name in gone:
            del self.held[name]
        self.upsert(self.chance.sample(list(self.held), count))
        for name in self.chance.sample(list(self.held), count):
            price = float(self.chance.randrange(100)) / 2
            self.collection.patch([RecordPatch(name, set_attributes={"price": price})])
            before = self.held[name]
            if before.attributes.get("price") == price:
                continue  # what changes nothing is no write
            self._written += 1
            self.held[name] = Held(
                before.vector, before.product_id, {**before.attributes, "price": price}, self._written
            )

    def restart(self) -> None:
        """Closes everything, and opens it again over the same files."""
        self._stop()
        self._start()
        self.collection = self._run(self.engine.collection(self.principal, "c"))
        assert self.collection.damaged_snapshots == []

    def back_and_forth(self) -> None:
        """Takes a snapshot, changes records, and restores the snapshot. Later deletions stay."""
        kept, before = self.collection.keep_snapshot().snapshot_id, dict(self.held)
        self.change(0.1)
        gone = before.keys() - self.held.keys()
        directory = self._run(self.engine.directory(self.principal))
        self.collection = directory.restore("c", kept, "c", replacing=True)
        self.held = {name: held for name, held in before.items() if name not in gone}

    @property
    def _curve(self) -> ScoreSpec:
        return self.engine.calibration_of(self.collection).curve

    @property
    def learns(self) -> bool:
        """Whether the vector index can see its vectors from elsewhere."""
        return loaded(self.collection).index.capabilities.learning

    def learn(self) -> None:
        """Makes the collection centre its vectors by their mean, and queries by another."""
        vectors = np.stack([h.vector for h in self.held.values()])
        mean = vectors.mean(0)
        query_mean = np.asarray(mean + 0.1 * vectors.std(0) * self.numbers.standard_normal(len(mean)), np.float32)
        loaded(self.collection).index.learn(CenteringTransform(mean, query_mean))

    # ---- searching

    def oracle(self) -> Oracle:
        """The current expectations; with its own filters."""
        self.filters = [random_filter(self.chance) for _ in range(30)]
        transform = loaded(self.collection).index.view.transform if self.learns else None
        learned = Learned(transform.catalogue_mean, transform.query_mean) if transform is not None else None
        return Oracle(dict(self.held), self.manifest.output.blocks, self._curve, learned)

    def request(self) -> Asked:
        """A random request with everything that the API allows."""
        chance = self.chance
        request = pb.SearchRequest(collection="c", k=chance.choice([1, 2, 3, 5, 10, 10, 17, 40, 120]))
        vectors: list[Any] = []
        named: set[str] = set()
        for number in range(chance.choice([1, 1, 1, 1, 2, 3])):
            weight = 0.0 if number == 0 and chance.random() < 0.5 else chance.choice([1.0, 0.5, 2.0])
            if number and chance.random() < 0.5:
                weight = -chance.uniform(0.1, 0.8)
            vectors.append(self._term(request.query.add(weight=weight), named))
        matches = None
        if chance.random() < 0.45:
            request.filter, matches = chance.choice(self.filters)
        if chance.random() < 0.2:
            request.group_by, request.group_size = "product_id", chance.choice([0, 1, 2, 5])
        if chance.random() < 0.25:
            request.offset = chance.choice([1, 5, 10, 20, 30, 90, 200])
        if chance.random() < 0.35:
            known = list(self.held)
            request.exclude_record_ids.extend(
                chance.sample(known, min(len(known), chance.choice([1, 3, 5, 16, 17, 60])))
            )
            request.exclude_record_ids.append("no such record")
        if chance.random() < 0.15:
            known = list(self.held)
            some = chance.sample(known, min(len(known), chance.choice([1, 7, 60, 999])))
            request.only_record_ids.extend([*some, "no such record"])
        if chance.random() < 0.2:
            request.max_distance = chance.choice([0.0, 0.3, 0.55, 0.75, 1.0, 2.0])
        if chance.random() < 0.15:
            request.min_score = chance.choice([0.0, 0.01, 0.2, 0.6, 1.0])
        if chance.random() < 0.2:
            request.emphasis["shape"] = chance.choice([0.0, 0.0, 0.3, 1.0, 4.0])
            if chance.random() < 0.5:
                request.emphasis["colour"] = chance.choice([0.5, 1.0, 6.0])
        if chance.random() < 0.15:
            request.facets.extend(chance.sample(["color", "tags", "sale", "mixed", "price", "nothing"], 2))
        request.exact = chance.random() < 0.15
        if not named and self.judging.random() < 0.05:
            vectors = [self._as_search_id(request, vectors)]
        if self.judging.random() < 0.1:
            self._judge(request.feedback, named)
        return Asked(request, vectors, matches, frozenset(request.exclude_record_ids) | named)

    def _as_search_id(self, request: pb.SearchRequest, vectors: list[Any]) -> NDArray[np.float32]:
        """Puts the id of a search with the same terms in their place. Returns the vector of these."""
        total = sum((t.weight or 1.0) * v / np.linalg.norm(v) for t, v in zip(request.query, vectors, strict=True))
        first = pb.SearchRequest(collection="c", query=request.query, k=1, with_search_id=True)
        search_id = message_of(self._run(self._handlers.Search(first, self.principal))).search_id
        del request.query[:]
        request.query.add(search_id=search_id)
        return np.asarray(total, np.float32)

    def _judge(self, feedback: pb.Feedback, named: set[str]) -> None:
        """Some records are liked, others disliked."""
        some = self.judging.sample(list(self.held), self.judging.randrange(1, 7))
        liked = self.judging.randrange(len(some) + 1)
        feedback.liked_record_ids.extend([*some[:liked], "no such record"])
        feedback.disliked_record_ids.extend(some[liked:])
        if self.judging.random() < 0.5:
            feedback.liked_weight = self.judging.choice([0.0, 0.5, 3.0])
            feedback.disliked_weight = self.judging.choice([0.0, 0.5])
        named.update(some)

    def _term(self, term: pb.QueryTerm, named: set[str]) -> NDArray[np.float32]:
        kind = self.chance.random()
        if kind < 0.03:
            picture = self.chance.choice(self._pictures)
            if self.chance.random() < 0.5:
                term.image = picture.image
            else:
                term.url = picture.url
            if picture.region is not None:
                term.region.CopyFrom(types_pb.Region(**dict(zip(_SIDES, picture.region, strict=True))))
            return picture.vector
        if kind < 0.35:
            name = self.chance.choice(list(self.held))
            term.record_id = name
            named.add(name)
            return self.held[name].vector
        known = list(self.held.values())
        if kind < 0.4:
            known = known[:_DONORS]
        vector = self.chance.choice(known).vector if kind < 0.55 else self.vector()
        if kind > 0.95:
            vector = np.asarray(self.numbers.standard_normal(len(vector)), np.float32)
        term.vector = from_vector(vector)
        return vector

    def answer(self, asked: Asked) -> pb.SearchResponse:
        """The answer of the API."""
        return cast(pb.SearchResponse, message_of(self._run(self._handlers.Search(asked.request, self.principal))))

    def check(self, requests: int, kinds: Kinds, *, exact: bool) -> None:
        """Compares random requests with the oracle. `exact`: all answers are; otherwise only those marked so."""
        oracle = self.oracle()
        for number in range(requests):
            asked = self.request()
            answer = self.answer(asked)
            is_exact = exact or answer.path in (
                pb.SEARCH_PATH_EMPTY,
                pb.SEARCH_PATH_EXACT,
                pb.SEARCH_PATH_EXACT_FILTERED,
            )
            wrong, share = oracle.problems(asked, answer, exact=is_exact)
            shown = str(asked.request)[:2000] if wrong else ""
            assert not wrong, f"request {number}: {wrong}\npath {answer.path}, {answer.learned_order}\n{shown}"
            kinds.add(asked.request, share)

    def close(self) -> None:
        """Ends the threads and closes the files."""
        self._stop()
        self._loop.close()
        self._ends.close()

    def _stop(self) -> None:
        self._run(self.engine.sources.close())
        self._run(self.engine.pictures.close())
        self.engine.spaces.close()
        self.engine.workers.close()
        self._registry.close()
