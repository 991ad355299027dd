"""`make bench-json`: what JSON costs beside `google.protobuf.json_format` and beside protobuf's binary encoding."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format

from afterimage.v1 import record_service_pb2 as records
from afterimage.v1 import search_service_pb2 as search
from bench.environment import write_result
from service.web.proto_json.codec import Codec

_ROUNDS, _SECONDS = 9, 0.1


def ten_hits() -> search.SearchResponse:
    """An answer with ten hits of four attributes each."""
    chosen, response = random.Random(1), search.SearchResponse(allowed_count=20_000, encoder_id="builtin", sequence=7)
    for number in range(10):
        hit = response.hits.add(record_id=f"record-{number}", product_id=f"product-{number}")
        hit.score, hit.distance = chosen.random(), chosen.random()
        hit.attributes["color"].string_value = "red"
        hit.attributes["price"].number_value = round(chosen.uniform(1, 99), 2)
        hit.attributes["new"].bool_value = True
        hit.attributes["tags"].list_value.values.extend(["summer", "sale"])
    response.timings.total_ms = 1.25
    return response


def hundred_records() -> records.InsertRecordsRequest:
    """A request with a hundred records by URL, of four attributes each."""
    request = records.InsertRecordsRequest(collection="shoes")
    for hit in (hit for _ in range(10) for hit in ten_hits().hits):
        record = request.records.add(record_id=hit.record_id, url="https://shop.example/pictures/1.jpg")
        for name, value in hit.attributes.items():
            record.attributes[name].CopyFrom(value)
    return request


def seconds(function: Callable[[], object]) -> float:
    """Of one call: the median of nine rounds."""
    found = []
    for _ in range(_ROUNDS):
        calls, started = 0, time.thread_time()
        while (passed := time.thread_time() - started) < _SECONDS:
            function()
            calls += 1
        found.append(passed / calls)
    return statistics.median(found)


def measured() -> dict[str, dict[str, float]]:
    """Microseconds of each way, and the ratio of the codec to json_format."""
    canonical, plain, found = Codec(plain=False), Codec(plain=True), {}
    response, request = ten_hits(), hundred_records()
    query = search.SearchRequest(collection="shoes", query=[search.QueryTerm(record_id="1")], k=10, filter="price < 9")
    picture = search.SearchRequest(collection="shoes", query=[search.QueryTerm(image=bytes(300_000))], k=10)
    defaults: Any = {"always_print_fields_with_no_presence": True}
    found["write ten hits"] = _compared(
        lambda: canonical.write(response), lambda: json_format.MessageToJson(response, indent=None).encode(), response
    )
    found["write ten hits, plain form"] = _compared(
        lambda: plain.write(response),
        lambda: json_format.MessageToJson(response, indent=None, **defaults).encode(),
        response,
    )
    for name, message in (("query", query), ("hundred records", request), ("picture of 300 kB", picture)):
        found[f"read {name}"] = _read(canonical, message)
    return found


def _read(codec: Codec, message: Any) -> dict[str, float]:
    text, made = codec.write(message), type(message)
    return _compared(lambda: codec.read(text, made()), lambda: json_format.Parse(text, made()), message, parses=True)


def _compared(ours: Callable[[], object], theirs: Callable[[], object], message: Any, *, parses: bool = False) -> Any:
    raw = message.SerializeToString()
    binary = seconds((lambda: type(message).FromString(raw)) if parses else message.SerializeToString)
    one, other = seconds(ours), seconds(theirs)
    return {
        "codec_us": round(one * 1e6, 1), "json_format_us": round(other * 1e6, 1), "binary_us": round(binary * 1e6, 1),
        "ratio": round(one / other, 3),
    }  # fmt: skip


if __name__ == "__main__":
    found = measured()
    print(json.dumps(found, indent=2))
    print(write_result("json", found))
