"""Every spelling of a picture that clients of OpenAI's shape use is read, and all else is refused by its place."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from afterimage.v1.search_service_pb2 import EncodedPicture, EncodedText, EncodeResponse
from afterimage.v1.server_info_service_pb2 import Encoder, GetServerInfoResponse
from afterimage.v1.types_pb2 import RecordError
from service.errors import Reason, ServiceError
from service.web.embeddings.inputs import MOST_INPUTS, Wanted, read_request
from service.web.embeddings.outputs import write_embeddings, write_error, write_model

PICTURE = b"\xff\xd8\x00"
TEXT = base64.b64encode(PICTURE).decode()
URI, URL = f"data:image/jpeg;base64,{TEXT}", "https://shop.example/1.jpg"


def read(**given: Any) -> Any:
    return read_request(json.dumps(given).encode())


@pytest.mark.parametrize(
    "given",
    [
        {"input": URI}, {"input": [URI]}, {"input": {"image": URI}}, {"input": [{"image": TEXT}]},
        {"input": URI, "modality": "image", "user": "x", "encoding_format": "float"},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URI}}]}]},
    ],
)  # fmt: skip
def test_a_picture_is_read_from_every_shape(given: dict[str, Any]) -> None:
    request, wanted = read(model="builtin", **given)
    assert (request.encoder_id, [p.image for p in request.pictures]) == ("builtin", [PICTURE])
    assert wanted == Wanted()


def test_urls_and_the_order_are_kept() -> None:
    request, wanted = read(
        input=[URL, URI, {"image": URL}], encoding_format="base64", dimensions=3, afterimage_partial=True
    )
    assert [p.WhichOneof("source") for p in request.pictures] == ["url", "image", "url"]
    assert wanted == Wanted(True, 3, True)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"input": "a red shoe", "modality": "image"}, "input"),
        ({"input": [URI, "a red shoe"], "modality": "image"}, "input[1]"), ({"input": [1, 2]}, "input[0]"),
        ({"input": []}, "input"), ({}, "input"), ({"input": [None]}, "input[0]"),
        ({"input": [{"text": "x"}]}, "input[0]"),
        ({"input": "data:image/png,raw"}, "input"), ({"input": "data:image/png;base64,?"}, "input"),
        ({"input": [URL] * (MOST_INPUTS + 1)}, "input"), ({"input": URI, "encoding_format": "int8"}, "encoding_format"),
        ({"input": URI, "dimensions": "3"}, "dimensions"), ({"input": URI, "modality": "audio"}, "modality"),
        ({"input": URI, "model": 7}, "model"), ({"input": URI, "afterimage_partial": 1}, "afterimage_partial"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        ({"messages": "x"}, "messages[0].content[0]"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_its_place(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ServiceError) as caught:
        read(**given)
    assert (caught.value.reason, caught.value.field) == (Reason.ARGUMENT_INVALID, field)
    assert "red shoe" not in caught.value.message


def test_texts_are_read_beside_pictures_and_keep_their_places() -> None:
    request, wanted = read(input=["a red shoe", URI, "mug"], modality="text")
    assert (list(request.texts), len(request.pictures)) == (["a red shoe", "mug"], 1)
    assert wanted.texts == {0, 2}
    messages = [{"content": [{"type": "text", "text": "mug"}]}, {"content": "shoe"}]
    assert list(read(messages=messages)[0].texts) == ["mug", "shoe"]
    first, second = (np.array([n, 0.5], "<f4").tobytes() for n in (1, 2))
    vector = np.array([7, 0.5], "<f4").tobytes()
    answer = EncodeResponse(
        pictures=[EncodedPicture(vector=vector)], texts=[EncodedText(vector=first), EncodedText(vector=second)],
        dimension=2,
    )  # fmt: skip
    data = json.loads(write_embeddings(answer, wanted))["data"]
    assert [d["embedding"][0] for d in data] == [1, 7, 2]


def test_unknown_fields_and_other_json_are_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        read(input=URI, colour="red")
    assert caught.value.reason is Reason.FIELD_UNKNOWN
    for raw in (b"", b"[]", b"x"):
        with pytest.raises(ServiceError):
            read_request(raw)


def response(*errors: str) -> EncodeResponse:
    vector = np.array([1.0, 0.5], "<f4").tobytes()
    pictures = [
        EncodedPicture(error=RecordError(code=3, reason=e, message="broken")) if e else EncodedPicture(vector=vector)
        for e in errors
    ]
    return EncodeResponse(pictures=pictures, encoder_id="builtin", dimension=2)


def test_vectors_go_as_numbers_or_in_base64() -> None:
    numbers = json.loads(write_embeddings(response("", ""), Wanted()))
    assert [(d["index"], d["embedding"]) for d in numbers["data"]] == [(0, [1.0, 0.5]), (1, [1.0, 0.5])]
    assert numbers["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    text = json.loads(write_embeddings(response(""), Wanted(base64=True)))["data"][0]["embedding"]
    assert list(np.frombuffer(base64.b64decode(text), "<f4")) == [1.0, 0.5]


def test_one_bad_picture_fails_the_request_unless_it_is_partial() -> None:
    broken = response("", "IMAGE_DAMAGED")
    with pytest.raises(ServiceError) as caught:
        write_embeddings(broken, Wanted())
    assert json.loads(write_error(caught.value))["error"] == {
        "message": "input[1]: broken", "type": "invalid_request_error", "param": "input[1]", "code": "IMAGE_DAMAGED",
    }  # fmt: skip
    partial = json.loads(write_embeddings(broken, Wanted(partial=True)))["data"]
    assert partial[1]["embedding"] is None
    assert partial[1]["error"]["code"] == "IMAGE_DAMAGED"
    assert partial[0]["embedding"] == [1.0, 0.5]


def test_other_dimensions_than_the_encoders_are_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        write_embeddings(response(""), Wanted(dimensions=3))
    assert caught.value.field == "dimensions"


def test_a_model_is_found_by_its_whole_id() -> None:
    server = GetServerInfoResponse(encoders=[Encoder(id="builtin"), Encoder(id="shop/own:2")])
    for wanted in ("builtin", "shop/own:2"):
        assert json.loads(write_model(server, wanted))["id"] == wanted
    for missing in ("", "built", "own:2"):
        with pytest.raises(ServiceError) as caught:
            write_model(server, missing)
        assert caught.value.reason is Reason.MODEL_NOT_FOUND
