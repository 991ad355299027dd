"""The engines under test behind a common interface: bare FAISS, other embedded engines, and this index.

A hit counts when its id and its attributes are available, as a caller needs them. Bare FAISS, hnswlib, usearch and
voyager store no attributes, and return row numbers. Every engine may use both cores to build, and one to search.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.index.vectors import Vectors
from bench.index.workload import Condition, K, Workload

BATCH = 1000
THROUGH_GRPC = "this index, gRPC"
_DEFAULT = 0
FACTORY = {"faiss HNSW": "HNSW24,SQfp16", "faiss IVF-PQ": "IVF{lists},PQ{parts}x4fs,Refine(SQfp16)"}


class Contender(Protocol):
    """An engine with one collection. `efforts`: search parameters for the curve; 0 is the engine's default."""

    @property
    def efforts(self) -> Sequence[int]: ...
    @property
    def filters(self) -> bool: ...
    @property
    def note(self) -> str: ...

    def insert(self) -> None: ...
    def build(self) -> None: ...
    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]: ...
    def close(self) -> None: ...


class Faiss:
    """Bare index calls without storage: the lower bound."""

    filters = True
    note = "index calls alone: no ids, attributes, filter evaluation or durability"

    def __init__(self, work: Workload, folder: Path, kind: str) -> None:
        import faiss

        self._faiss, self._work, self._hnsw = faiss, work, kind == "faiss HNSW"
        lists = int(4 * work.rows**0.5)
        recipe = FACTORY[kind].format(lists=lists, parts=work.dimension // 4)
        self._index = faiss.index_factory(work.dimension, recipe, faiss.METRIC_INNER_PRODUCT)
        self.efforts = (24, 32, 48, 64, 96, 128, 256, 512) if self._hnsw else (8, 16, 32, 64, 128, 256)
        self._masks: dict[Condition, Any] = {}

    def insert(self) -> None:
        pass

    def build(self) -> None:
        self._faiss.omp_set_num_threads(2)
        if self._hnsw:
            hnsw: Any = self._index
            hnsw.hnsw.efConstruction = 128
        sample = np.sort(np.random.default_rng(0).permutation(self._work.rows)[:200_000])
        self._index.train(np.ascontiguousarray(self._work.vectors[sample]))
        for start in range(0, self._work.rows, 50_000):
            self._index.add(np.ascontiguousarray(self._work.vectors[start : start + 50_000]))
        self._faiss.omp_set_num_threads(1)

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        faiss = self._faiss
        selector = None
        if condition is not None:
            if condition not in self._masks:
                self._masks[condition] = np.packbits(self._work.mask(condition), bitorder="little")
            bits = self._masks[condition]
            selector = faiss.IDSelectorBitmap(len(bits) * 8, faiss.swig_ptr(bits))
        if self._hnsw:
            parameters = faiss.SearchParametersHNSW(efSearch=effort or 64, sel=selector)
        else:
            inner = faiss.SearchParametersIVF(nprobe=effort or 32, sel=selector)
            parameters = faiss.IndexRefineSearchParameters(k_factor=8, base_index_params=inner)
        return self._index.search(query[None, :], K, params=parameters)[1][0].tolist()

    def close(self) -> None:
        pass


class Own:
    """This index, through its own Python interface: durable, encrypted, ids and attributes resolved."""

    efforts = (50, 75, 100, 150, 250, 400)  # per cent of what the index itself chose
    filters = True
    note = "durable (fsync for each batch), encrypted; ids and attributes resolved"

    def __init__(self, work: Workload, folder: Path) -> None:
        from index import CollectionSpec, DataDirectory, SearchQuery, TenantDirectory

        self._work, self._query = work, SearchQuery
        self.directory = TenantDirectory(DataDirectory(folder).tenant("a" * 32), bytes(32))
        self.collection = self.directory.create(CollectionSpec("bench", "e", "f" * 16, work.dimension, learning=False))

    def insert(self) -> None:
        for batch in self.batches():
            self.collection.upsert(batch)

    def batches(self) -> Iterator[list[Any]]:
        from index import RecordWrite

        for start in range(0, self._work.rows, BATCH):
            rows = range(start, min(start + BATCH, self._work.rows))
            block = np.asarray(self._work.vectors[start : start + BATCH])
            yield [RecordWrite(str(r), block[r - start], f"p{r // 4}", self._work.payload(r)) for r in rows]

    def build(self) -> None:
        self.collection.build_ann_index()
        loaded: Any = self.collection.handle.loaded
        loaded.index.recall.sample_every(math.inf)  # measured here, not sampled

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        loaded: Any = self.collection.handle.loaded
        loaded.index.recall.ef_factor = (effort or 100) / 100
        answer = self.collection.search(self._query(query, K, filter=condition.text if condition else ""))
        hits = [(h.record.record_id, h.record.attributes) for group in answer.groups for h in group]
        return [int(i) for i, _ in hits]

    def close(self) -> None:
        self.directory.close()


class QdrantEdge:
    """The embedded engine of Qdrant. Its writes are not durable when they return."""

    efforts = (16, 24, 32, 48, 64, 128, 256)
    filters = True
    note = "writes are not fsynced; ids and payloads resolved"

    def __init__(self, work: Workload, folder: Path) -> None:
        import qdrant_edge as q

        self._q, self._work = q, work
        folder.mkdir(parents=True, exist_ok=True)
        config = q.EdgeConfig(vectors=q.EdgeVectorParams(work.dimension, q.Distance.Cosine), max_search_threads=1)
        self._shard = q.EdgeShard.create(str(folder), config)

    def insert(self) -> None:
        q, work = self._q, self._work
        for start in range(0, work.rows, BATCH):
            rows = range(start, min(start + BATCH, work.rows))
            block = np.asarray(work.vectors[start : start + BATCH])
            points = [q.Point(r, block[r - start].tolist(), work.payload(r)) for r in rows]
            self._shard.update(q.UpdateOperation.upsert_points(points))

    def build(self) -> None:
        q = self._q
        self._shard.update(q.UpdateOperation.create_field_index("u", q.PayloadSchemaType.Float))
        for name in ("color", "zone"):
            self._shard.update(q.UpdateOperation.create_field_index(name, q.PayloadSchemaType.Keyword))
        self._shard.optimize()

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        q = self._q
        request = q.SearchRequest(
            query=q.Query.Nearest(query.tolist()), limit=K, with_payload=True,
            filter=None if condition is None else self._filter(condition),
            params=q.SearchParams(hnsw_ef=effort) if effort else None,
        )  # fmt: skip
        hits = [(p.id, p.payload) for p in self._shard.search(request)]
        return [i for i, _ in hits]

    def _filter(self, condition: Condition) -> Any:
        q = self._q
        must: list[Any] = []
        must_not: list[Any] = []
        if condition.below is not None:
            must.append(q.FieldCondition("u", range=q.RangeFloat(lt=condition.below)))
        if condition.color is not None:
            must.append(q.FieldCondition("color", match=q.MatchValue(condition.color)))
        if condition.zone is not None:
            part = q.FieldCondition("zone", match=q.MatchValue(f"z{condition.zone}"))
            (must_not if condition.outside else must).append(part)
        return q.Filter(must=must or None, must_not=must_not or None)

    def close(self) -> None:
        self._shard.close()


class Usearch:
    efforts = (32, 64, 128, 256, 512)
    filters = False
    note = "half precision; row numbers alone, nothing stored"

    def __init__(self, work: Workload, folder: Path) -> None:
        from usearch.index import Index

        self._work = work
        self._index = Index(ndim=work.dimension, metric="ip", dtype="f16", connectivity=16, expansion_add=128)

    def insert(self) -> None:
        pass

    def build(self) -> None:
        for start in range(0, self._work.rows, 50_000):
            block = np.asarray(self._work.vectors[start : start + 50_000])
            self._index.add(np.arange(start, start + len(block)), block, threads=2)

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        self._index.expansion_search = effort or 64
        return self._index.search(query, K, threads=1).keys.tolist()

    def close(self) -> None:
        pass


class Hnswlib:
    efforts = (16, 32, 64, 128, 256)
    filters = False
    note = "single precision; row numbers alone, nothing stored; filters only as a Python call for each row"

    def __init__(self, work: Workload, folder: Path) -> None:
        import hnswlib

        self._work, self._index = work, hnswlib.Index(space="ip", dim=work.dimension)
        self._index.init_index(max_elements=work.rows, M=16, ef_construction=128)

    def insert(self) -> None:
        pass

    def build(self) -> None:
        for start in range(0, self._work.rows, 50_000):
            self._index.add_items(np.asarray(self._work.vectors[start : start + 50_000]), num_threads=2)

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        self._index.set_ef(effort or 64)
        return self._index.knn_query(query[None, :], K, num_threads=1)[0][0].tolist()

    def close(self) -> None:
        pass


class Voyager:
    efforts = (16, 32, 64, 128, 256)
    filters = False
    note = "single precision; row numbers alone, nothing stored"

    def __init__(self, work: Workload, folder: Path) -> None:
        from voyager import Index, Space

        self._work = work
        self._index = Index(Space.InnerProduct, num_dimensions=work.dimension, M=16, ef_construction=128)

    def insert(self) -> None:
        pass

    def build(self) -> None:
        for start in range(0, self._work.rows, 50_000):
            self._index.add_items(np.array(self._work.vectors[start : start + 50_000]), num_threads=2)

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        return self._index.query(query, K, num_threads=1, query_ef=effort or 64)[0].tolist()

    def close(self) -> None:
        pass


class MilvusLite:
    efforts = (_DEFAULT,)
    filters = True
    note = "through its own gRPC server in this process, as its client has it; measured up to 20,000 rows"

    def __init__(self, work: Workload, folder: Path) -> None:
        from pymilvus import DataType, MilvusClient

        folder.mkdir(parents=True, exist_ok=True)
        self._work, self._client = work, MilvusClient(str(folder / "milvus.db"))
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=work.dimension)
        schema.add_field("u", DataType.DOUBLE)
        for name in ("color", "zone"):
            schema.add_field(name, DataType.VARCHAR, max_length=16)
        self._client.create_collection("bench", schema=schema)

    def insert(self) -> None:
        for start in range(0, self._work.rows, BATCH):
            rows = range(start, min(start + BATCH, self._work.rows))
            block = np.asarray(self._work.vectors[start : start + BATCH])
            self._client.insert("bench", [{"id": r, "vector": block[r - start], **self._work.payload(r)} for r in rows])

    def build(self) -> None:
        parameters = self._client.prepare_index_params()
        parameters.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 128})
        self._client.create_index("bench", parameters)
        self._client.load_collection("bench")

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        found = self._client.search(
            "bench", [query], limit=K, filter=self._filter(condition) if condition else "",
            output_fields=["u", "color", "zone"],
        )  # fmt: skip
        return [h["id"] for h in found[0]]

    def _filter(self, condition: Condition) -> str:
        parts = [f"u < {condition.below}"] if condition.below is not None else []
        if condition.color is not None:
            parts.append(f'color == "{condition.color}"')
        if condition.zone is not None:
            parts.append(f'zone {"!=" if condition.outside else "=="} "z{condition.zone}"')
        return " and ".join(parts)

    def close(self) -> None:
        self._client.close()


NAMES = (
    "this index", THROUGH_GRPC, "qdrant-edge", "faiss HNSW", "faiss IVF-PQ", "usearch", "hnswlib", "voyager",
    "milvus-lite",
)  # fmt: skip


def open_contender(name: str, work: Workload, folder: Path) -> Contender:
    """An engine with an empty collection in `folder`."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    shutil.rmtree(folder, ignore_errors=True)
    if name.startswith("faiss"):
        return Faiss(work, folder, name)
    if name == THROUGH_GRPC:
        from bench.index.through_grpc import ThroughGrpc

        return ThroughGrpc(work, folder)
    kinds: dict[str, Any] = {
        "this index": Own, "qdrant-edge": QdrantEdge, "usearch": Usearch, "hnswlib": Hnswlib, "voyager": Voyager,
        "milvus-lite": MilvusLite,
    }  # fmt: skip
    made: Contender = kinds[name](work, folder)
    return made
