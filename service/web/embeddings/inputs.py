"""From a request for embeddings, as OpenAI's clients and those of infinity and vLLM send it, to a request of Encode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from afterimage.v1.search_service_pb2 import EncodeRequest, PictureInput
from service.errors import Reason, ServiceError
from service.web.proto_json.parsing import parse_text
from service.web.proto_json.scalars import read_base64

MOST_INPUTS = 100
_FIELDS = {
    "model", "input", "messages", "encoding_format", "dimensions", "modality", "user", "afterimage_partial",
}  # fmt: skip
_FORMATS = ("float", "base64")


@dataclass(frozen=True)
class Wanted:
    """How a request wants its vectors.

    - `base64`: as base64 of little-endian float32 instead of numbers.
    - `dimensions`: their required number; None: any.
    - `partial`: a picture that fails does not fail the request.
    - `texts`: the places of the inputs that are texts; all others are pictures.
    """

    base64: bool = False
    dimensions: int | None = None
    partial: bool = False
    texts: frozenset[int] = frozenset()


def read_request(raw: bytes) -> tuple[EncodeRequest, Wanted]:
    """Parses the JSON body of a request.

    Raises ServiceError (ARGUMENT_INVALID, FIELD_UNKNOWN). Its `field` is the parameter, such as `input[3]`.
    """
    given = parse_text(raw)
    if type(given) is not dict:
        raise ServiceError(Reason.ARGUMENT_INVALID, "the body must be an object")
    if unknown := given.keys() - _FIELDS:
        raise ServiceError(Reason.FIELD_UNKNOWN, f"the request has {len(unknown)} unknown fields")
    model = given.get("model") or ""
    if type(model) is not str:
        raise _invalid("model", "must be a string")
    request, wanted, texts = EncodeRequest(encoder_id=model), _wanted(given), set[int]()
    pictures_only = given.get("modality") == "image"
    for number, (place, value) in enumerate(_inputs(given)):
        if number == MOST_INPUTS:
            raise _invalid("input", f"has more than {MOST_INPUTS} items")
        picture = _picture(place, value)
        if picture is not None:
            request.pictures.append(picture)
        elif pictures_only:
            raise _invalid(place, "must be a data URI or an https URL of a picture, since modality is image")
        else:
            request.texts.append(value if type(value) is str else value["text"])
            texts.add(number)
    if not (request.pictures or request.texts):
        raise _invalid("input", "is empty")
    return request, replace(wanted, texts=frozenset(texts))


def _wanted(given: dict[str, Any]) -> Wanted:
    kind = given.get("encoding_format") or "float"
    if kind not in _FORMATS:
        raise _invalid("encoding_format", "must be float or base64")
    dimensions, partial = given.get("dimensions"), given.get("afterimage_partial") or False
    if dimensions is not None and type(dimensions) is not int:
        raise _invalid("dimensions", "must be an integer")
    if type(partial) is not bool:
        raise _invalid("afterimage_partial", "must be true or false")
    if given.get("modality") not in (None, "image", "text"):
        raise _invalid("modality", "must be image or text")
    return Wanted(kind == "base64", dimensions, partial)


def _inputs(given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields each input with its place in the request, such as `input[3]`."""
    if given.get("messages") is not None:
        yield from _of_messages(given["messages"])
        return
    values = given.get("input")
    if type(values) is not list:
        yield "input", values
        return
    for index, value in enumerate(values):
        yield f"input[{index}]", value


def _of_messages(messages: Any) -> Iterator[tuple[str, Any]]:
    for number, message in enumerate(messages if type(messages) is list else [messages]):
        content = message.get("content") if type(message) is dict else None
        for index, part in enumerate(content if type(content) is list else [content]):
            place = f"messages[{number}].content[{index}]"
            url = part.get("image_url") if type(part) is dict else None
            yield place, url.get("url") if type(url) is dict else part


def _picture(place: str, value: Any) -> PictureInput | None:
    """The picture of an input, or None if it is a text."""
    bare = type(value) is dict and value.keys() == {"image"}
    text = value["image"] if bare else value
    if type(value) is dict and value.get("type") == "text" and type(value.get("text")) is str:
        return None
    if type(text) is not str:
        what = "a picture (a data URI, an https URL, or an object with the field image) or a text"
        raise _invalid(place, f"must be {what}")
    picture = PictureInput()
    if text.startswith("data:"):
        head, _, content = text.partition(",")
        if not head.endswith(";base64"):
            raise _invalid(place, "must be a data URI in base64")
        picture.image = _decoded(place, content)
    elif text.startswith(("https://", "http://")):
        picture.url = text
    elif bare:
        picture.image = _decoded(place, text)
    else:
        return None
    return picture


def _decoded(place: str, text: str) -> bytes:
    try:
        return read_base64(text)
    except ValueError as error:
        raise _invalid(place, str(error)) from None


def _invalid(place: str, problem: str) -> ServiceError:
    return ServiceError(Reason.ARGUMENT_INVALID, f"{place}: {problem}", field=place)
