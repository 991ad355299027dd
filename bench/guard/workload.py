"""What is measured: the requests of each kind, and the fixed work that stands beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import onnxruntime

from afterimage.client import Client, NewRecord
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import search_service_pb2 as search_pb
from bench.calls.__main__ import K, clustered
from service.encoder.registry import BUILTIN_FOLDER

RECORDS = 10_000  # with vectors
_VECTORS, _PICTURES, _SIDE = "vectors", "pictures", 96
_FIXED_MODEL = BUILTIN_FOLDER.parent / "earlier" / "builtin-2" / "encoder.onnx"  # never changes: collections have it
_COUNT, _PIXELS = 24, 440  # of pictures


@dataclass(frozen=True)
class Kind:
    """One kind of call. requests: gives those of a round, serialised, never the same twice where they insert.

    callers: how many at once. with_picture: whether the work beside it decodes and encodes pictures, or answers calls.
    """

    path: str
    requests: Callable[[int], Sequence[bytes]]
    callers: int = 1
    with_picture: bool = False


def kinds(pictures: Sequence[bytes], count: int) -> dict[str, Kind]:
    """All kinds by name. count: searches of a round; pictures are fewer."""
    queries = [q.tobytes() for q in clustered(count, seed=2)]
    searches = [
        search_pb.SearchRequest(collection=_VECTORS, query=[search_pb.QueryTerm(vector=q)], k=K) for q in queries
    ]
    ids = [[str((n * 997 + i * 31) % RECORDS) for i in range(K)] for n in range(count)]
    gets = [records_pb.GetRecordsRequest(collection=_VECTORS, record_ids=some) for some in ids]
    few = [pictures[n % len(pictures)] for n in range(max(8, count // 12))]
    by_picture = [search_pb.SearchRequest(collection=_PICTURES, query=[search_pb.QueryTerm(image=p)], k=K) for p in few]

    def inserts(number: int) -> Sequence[bytes]:
        made = [records_pb.RecordInput(record_id=f"{number}-{n}", image=p) for n, p in enumerate(few)]
        return [
            records_pb.InsertRecordsRequest(collection=_PICTURES, records=[one]).SerializeToString() for one in made
        ]

    same_searches, same_gets = [s.SerializeToString() for s in searches], [g.SerializeToString() for g in gets]
    same_by_picture = [s.SerializeToString() for s in by_picture]
    return {
        "call": Kind("/afterimage.v1.RecordService/GetRecords", lambda _: same_gets),
        "search": Kind("/afterimage.v1.SearchService/Search", lambda _: same_searches),
        "search, 8 callers": Kind("/afterimage.v1.SearchService/Search", lambda _: same_searches, callers=8),
        "search by picture": Kind("/afterimage.v1.SearchService/Search", lambda _: same_by_picture, with_picture=True),
        "picture inserted": Kind("/afterimage.v1.RecordService/InsertRecords", inserts, with_picture=True),
    }


def drawn() -> list[bytes]:
    """Some JPEGs of coloured discs, of 440 x 440 pixels and about 30 kB each."""
    made = []
    for number in range(_COUNT):
        chosen = np.random.default_rng(number)
        pixels = np.full((_PIXELS, _PIXELS, 3), chosen.integers(256, size=3), np.uint8)
        for _ in range(20):
            middle, color = chosen.integers(_PIXELS, size=2).tolist(), chosen.integers(256, size=3).tolist()
            cv2.circle(pixels, middle, int(chosen.integers(10, 120)), color, -1, cv2.LINE_AA)
        noisy = np.clip(pixels + chosen.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
        made.append(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
    return made


def fill(client: Client) -> None:
    """Makes the collections, one of them with RECORDS records and a graph. They learn nothing meanwhile."""
    client.create_collection(_VECTORS, encoder_id="bench")
    client.create_collection(_PICTURES)
    for name in (_VECTORS, _PICTURES):
        client.update_collection(name, learning="off")
    records = (
        NewRecord(str(n), vector=v.tobytes(), attributes={"color": f"c{n % 8}", "price": float(n % 97)})
        for n, v in enumerate(clustered(RECORDS, seed=1))
    )
    assert all(result.error is None for result in client.import_records(_VECTORS, records))
    client.rebuild_index(_VECTORS)


def fixed_encoding(pictures: Sequence[bytes]) -> Iterator[float]:
    """Processor time of decoding a picture and running a model that never changes, in milliseconds, without end: the
    mean over the pictures. Nothing of the service runs in it."""
    cv2.setNumThreads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_FIXED_MODEL, options, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0].name
    while True:
        began = time.process_time_ns()
        for picture in pictures:
            pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
            assert pixels is not None
            small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
            session.run(None, {wanted: small[None]})
        yield (time.process_time_ns() - began) / 1e6 / len(pictures)
