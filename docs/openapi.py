"""Writes service/web/api/openapi.json: OpenAPI 3.1 of the friendly paths, from the protos and their comments."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from docs.openapi_schemas import Schemas
from service.calls.method import Deadline, Effect, Kind, Method
from service.calls.repetition.keyed_call import takes_key
from service.web.api import paths
from service.web.api.paths import Path as Row

ROOT = Path(__file__).parents[1]
_PACKAGE = "afterimage.v1."
_ERROR = {"$ref": "#/components/responses/Error"}
_DESCRIPTION = """Every call of the API as JSON over HTTP. Authentication: `Authorization: Bearer <API key>`.

The JSON is that of proto3: 64-bit integers are strings, bytes are base64, unknown fields are refused. Fields may also
be given under the names of the protos. A picture can be sent as the body, with the other fields in the query string, or
in a form. Each call can also be made by Connect's unary protocol, at `POST /afterimage.v1.Service/Method`."""


def render() -> str:
    """The document, as JSON."""
    comments = _comments()
    methods = paths.served()
    schemas = Schemas(comments, [method.response.DESCRIPTOR for method in methods.values()])
    found: dict[str, dict[str, Any]] = {}
    for row in paths.PATHS:
        template = re.sub(r"\{([^}]+)\}", lambda m: "{" + _parameter_name(m[1]) + "}", row.template)
        found.setdefault(template, {})[row.verb.lower()] = _operation(row, methods[row.rpc], comments, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Afterimage", "version": "v1", "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": comments[f"{_PACKAGE}{name}"]} for name in _services(methods)],
        "paths": found,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "responses": {"Error": _error_response()},
            "schemas": schemas.components(),
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _services(methods: dict[str, Method]) -> list[str]:
    return list(dict.fromkeys(name.partition("/")[0] for name in methods))


def _operation(row: Row, method: Method, comments: dict[str, str], schemas: Schemas) -> dict[str, Any]:
    comment = comments[f"{method.service}.{method.row.name}"]
    summary, _, _ = comment.partition(". ")
    service = row.rpc.partition("/")[0]
    variables = re.findall(r"\{([^}]+)\}", row.template)
    parameters = [
        {"name": _parameter_name(name), "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in variables
    ]
    operation: dict[str, Any] = {
        "operationId": row.rpc.replace("/", "_"), "tags": [service], "summary": summary.rstrip("."),
        "description": comment, "parameters": parameters,
        "responses": {"200": _response(method, schemas), "default": _ERROR},
        # For generators of clients: whether a call may be sent again, and whether it lasts as long as its caller waits.
        "x-retry-safe": method.row.effect is not Effect.NOT_IDEMPOTENT,
        "x-no-deadline": method.row.deadline is Deadline.OPEN,
        **({"x-takes-idempotency-key": True} if takes_key(method) else {}),
    }  # fmt: skip
    if takes_key(method):
        operation["description"] += "\n\nTakes the header `Idempotency-Key`: made once for each key within a day."
    if row.verb in ("GET", "DELETE"):
        parameters += schemas.parameters(method.request.DESCRIPTOR, variables)
    else:
        operation["requestBody"] = {"required": row.body != "", "content": _bodies(row, method, variables, schemas)}
    if row.pictures:
        note = "The query string is for requests whose body is a picture, and may add to a form or to JSON."
        operation["description"] += f"\n\n{note}"
        parameters += schemas.parameters(method.request.DESCRIPTOR, variables)
        item = method.request.DESCRIPTOR.fields_by_name[row.pictures].message_type
        taken = {p["name"] for p in parameters}
        parameters += [p for p in schemas.parameters(item, ("image", "vector", "url")) if p["name"] not in taken]
    return operation


def _bodies(row: Row, method: Method, variables: Iterable[str], schemas: Schemas) -> dict[str, Any]:
    descriptor = method.request.DESCRIPTOR
    if method.kind.streams_requests:
        text = {"type": "string", "description": "One JSON object per line."}
        return {"application/x-ndjson": {"schema": text, "x-item-schema": schemas.without(descriptor, variables)}}
    if row.body:
        schema = schemas.reference(descriptor.fields_by_name[row.body].message_type)
    else:
        schema = schemas.without(descriptor, variables)
    found: dict[str, Any] = {"application/json": {"schema": schema}}
    if row.pictures:
        found["image/*"] = {"schema": {"type": "string", "format": "binary"}}
        found["multipart/form-data"] = {"schema": _form(row)}
    return found


def _form(row: Row) -> dict[str, Any]:
    picture = {"type": "string", "format": "binary"}
    parts = {"request": {"type": "string", "description": "The request as JSON, without pictures."}, "image": picture}
    if row.one_picture:
        parts[row.one_picture] = picture
    return {"type": "object", "properties": parts, "patternProperties": {"^image-[0-9]{1,3}$": picture}}


def _response(method: Method, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.reference(method.response.DESCRIPTOR, answer=True)
    if method.kind is Kind.UNARY:
        return {"description": "Success.", "content": {"application/json": {"schema": schema}}}
    text = "One response per line, or per event with `Accept: text/event-stream`. Where the call fails later, the last "
    media = {"schema": {"type": "string"}, "x-item-schema": schema}
    content = dict.fromkeys(("application/x-ndjson", "text/event-stream"), media)
    description = f"{text}line is an object with the field `error`. Each is a {schema['$ref'].rpartition('/')[2]}."
    return {"description": description, "content": content}


def _error_response() -> dict[str, Any]:
    detail = {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}}
    schema = {
        "type": "object", "required": ["code", "message", "details"],
        "properties": {
            "code": {"type": "integer", "description": "Number of google.rpc.Code."},
            "message": {"type": "string"},
            "details": {"type": "array", "items": detail, "description": "google.rpc.ErrorInfo with `reason` first."},
        },
    }  # fmt: skip
    headers = {
        "Retry-After": {"description": "Seconds to wait, where a retry can succeed.", "schema": {"type": "integer"}},
        "x-request-id": {"description": "Find it in the server's log.", "schema": {"type": "string"}},
    }
    description = "google.rpc.Status. docs/errors.md lists the reasons."
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}


def _parameter_name(field: str) -> str:
    return field.rpartition(".")[2]


@functools.cache
def _comments() -> dict[str, str]:
    """The comments of services, calls, messages, fields and values, by full name."""
    folder = ROOT / "proto"
    protos = sorted(str(path.relative_to(folder)) for path in folder.glob("afterimage/v1/*.proto"))
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "protos"
        command = [sys.executable, "-m", "grpc_tools.protoc", "--proto_path=.", "--include_source_info"]
        subprocess.run([*command, f"--descriptor_set_out={target}", *protos], cwd=folder, check=True)
        files = FileDescriptorSet.FromString(target.read_bytes())
    found: dict[str, str] = {}
    for file in files.file:
        for location in file.source_code_info.location:
            name = _named(file, list(location.path))
            if name:
                text = location.leading_comments or location.trailing_comments
                found[f"{file.package}.{name}"] = " ".join(line.strip() for line in text.strip().splitlines())
    return found


_PARTS = {4: "message_type", 5: "enum_type", 6: "service"}
_INNER = {
    "message_type": {2: "field", 3: "nested_type", 4: "enum_type"},
    "enum_type": {2: "value"},
    "service": {2: "method"},
}


def _named(file: Any, path: list[int]) -> str:
    """The name of what a place in a file describes; empty where that is nothing with a name."""
    kinds, holder, names = _PARTS, file, []
    while path:
        number, *rest = path
        if number not in kinds or not rest:
            return ""
        kind = kinds[number]
        holder = getattr(holder, kind)[rest[0]]
        names.append(holder.name)
        path, kinds = rest[1:], _INNER.get("message_type" if kind == "nested_type" else kind, {})
    return ".".join(names)
