"""From what a client sent to the request message: the path, the query string, and JSON, a picture or a form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from service.errors import Reason, ServiceError
from service.web.api.bodies import Part
from service.web.api.parameters import as_json, knows
from service.web.api.routes import Route
from service.web.proto_json.codec import Codec

_PICTURE = "image"  # name of a form's part, and of the field that holds a picture
_REQUEST = "request"  # name of the part with the JSON


class RequestReader:
    """Builds the request message of one call. All methods raise ServiceError (ARGUMENT_INVALID, FIELD_UNKNOWN)."""

    def __init__(self, route: Route, parameters: Sequence[tuple[str, str]], codec: Codec) -> None:
        self._route, self._parameters, self._codec = route, parameters, codec

    async def from_json(self, raw: bytes) -> Any:
        """Returns the message of a JSON body. `raw`: empty if there is no body."""
        message: Any = self._route.method.request()
        body = self._route.path.body if self._route.path else ""
        if raw:
            target = getattr(message, body) if body else message
            await self._codec.read_beside(raw, target)
        if body:
            getattr(message, body).SetInParent()
        self._add(message, self._parameters)
        self._bind(message)
        return message

    def from_picture(self, picture: bytes) -> Any:
        """Returns the message of a body that is a picture.

        The query string has the fields of the request, and those of the item with the picture.
        """
        message: Any = self._route.method.request()
        item = getattr(message, self._pictures).add()
        of_request = [
            p for p in self._parameters if knows(message.DESCRIPTOR, p[0]) or not knows(item.DESCRIPTOR, p[0])
        ]
        self._add(message, of_request)
        self._add(item, [p for p in self._parameters if p not in of_request])
        item.image = picture
        self._bind(message)
        return message

    async def from_form(self, parts: Sequence[Part]) -> Any:
        """Returns the message of a form.

        Its parts are `request` in JSON, pictures in `image` or `image-0`, `image-1`…, and other fields.
        """
        texts = [p for p in parts if p.name == _REQUEST]
        if len(texts) > 1:
            raise _invalid(_REQUEST, "the form has several parts with this name")
        pictures = [p for p in parts if self._is_picture(p)]
        others = [p for p in parts if p not in texts and p not in pictures]
        reader = RequestReader(self._route, (*self._parameters, *_as_text(others)), self._codec)
        message = await reader.from_json(texts[0].content if texts else b"")
        for picture in pictures:
            self._place(message, picture)
        return message

    @property
    def _pictures(self) -> str:
        """The list whose items hold a picture each."""
        if self._route.path is None or not self._route.path.pictures:
            raise ServiceError(Reason.MEDIA_TYPE_UNSUPPORTED, "this call takes no picture as bytes; send JSON")
        return self._route.path.pictures

    def _is_picture(self, part: Part) -> bool:
        one = self._route.path.one_picture if self._route.path else ""
        return part.name.partition("-")[0] == _PICTURE or (bool(one) and part.name == one)

    def _place(self, message: Any, part: Part) -> None:
        items = getattr(message, self._pictures)
        path = self._route.path
        if path is not None and path.one_picture and part.name == path.one_picture:
            item = getattr(message, path.one_picture)
        else:
            _, dash, number = part.name.partition("-")
            if dash and not (number.isascii() and number.isdigit() and len(number) < 4):
                raise _invalid(part.name[:80], "pictures are named image, or image-0, image-1 and so on")
            free = next((i for i, item in enumerate(items) if item.WhichOneof("source") is None), len(items))
            index = int(number) if dash else free
            while len(items) <= index:
                items.add()
            item = items[index]
        if item.WhichOneof("source") is not None:
            raise _invalid(part.name[:80], "the item has another picture, or a URL, already")
        item.image = part.content

    def _add(self, message: Any, parameters: Iterable[tuple[str, str]]) -> None:
        """Adds what the query string says to what the body says."""
        given = as_json(parameters, message.DESCRIPTOR)
        if not given:
            return
        added = type(message)()
        self._codec.fill(given, added)
        for field, _ in added.ListFields():
            if not field.is_repeated and field.message_type is None and _is_set(message, field):
                raise _invalid(field.json_name, "is in the body and in the query string")
        message.MergeFrom(added)

    def _bind(self, message: Any) -> None:
        """Sets the fields that are in the path."""
        for name, value in self._route.variables.items():
            target = message
            *outer, leaf = name.split(".")
            for part in outer:
                target = getattr(target, part)
            if getattr(target, leaf) not in ("", value):
                raise _invalid(leaf, "is in the path too, with another value")
            setattr(target, leaf, value)


def _is_set(message: Any, field: Any) -> bool:
    if field.has_presence:
        return bool(message.HasField(field.name))
    return bool(getattr(message, field.name) != field.default_value)


def _as_text(parts: Iterable[Part]) -> list[tuple[str, str]]:
    try:
        return [(part.name, part.content.decode()) for part in parts]
    except UnicodeDecodeError:
        raise ServiceError(Reason.ARGUMENT_INVALID, "a part of the form is not UTF-8") from None


def _invalid(field: str, problem: str) -> ServiceError:
    return ServiceError(Reason.ARGUMENT_INVALID, f"{field}: {problem}", field=field)
