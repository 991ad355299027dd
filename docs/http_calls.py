"""Writes docs/http-calls.md: every RPC, and how it is called over each transport."""

from __future__ import annotations

from service.calls.method import Method
from service.calls.methods import METHODS
from service.web.api.paths import PATHS, Path, served
from service.web.embeddings.calls import PATHS as EMBEDDINGS
from service.web.ximilar.routes import PREFIXES, SINGLE, Routes

HEAD = """# Calls by transport

`make docs` generates this page from the tables that route the calls. [HTTP](http.md) describes the paths.
"""


def render() -> str:
    """docs/http-calls.md."""
    ximilar = len(Routes().calls) + len(SINGLE) + 1  # and the path of a task, which holds its name
    over_http, paths = served(), {path.rpc: path for path in PATHS}
    unary = sum(not _streams(method) for method in over_http.values())
    totals = [
        "| transport | calls |", "|---|---:|",
        f"| gRPC | {len(METHODS)} of {len(METHODS)} |",
        f"| HTTP, friendly paths | {len(paths)} of {len(METHODS)}; workers need gRPC |",
        f"| HTTP, clients of Connect | {unary} of {len(METHODS)}; streams need a friendly path |",
        f"| HTTP, in OpenAI's shape | {len(EMBEDDINGS)} paths, for {len({path.rpc for path in EMBEDDINGS})} calls |",
        f"| HTTP, [Ximilar's](ximilar.md) | {ximilar} paths, below {len(PREFIXES)} prefixes |",
    ]  # fmt: skip
    rows = [_row(method, paths.get(name), served=name in over_http) for name, method in _by_name().items()]
    table = ["| call | path over HTTP | Connect | pictures as bytes |", "|---|---|---|---|", *rows]
    return "\n".join([HEAD, *totals, "", *table, ""])


def _by_name() -> dict[str, Method]:
    return {method.name: method for method in METHODS.values()}


def _row(method: Method, path: Path | None, *, served: bool) -> str:
    if path is None:
        return f"| {method.name} | gRPC only | no | |"
    connect = "lines of JSON" if _streams(method) else "yes" if served else "no"
    return f"| {method.name} | `{path.verb} {path.template}` | {connect} | {'yes' if path.pictures else ''} |"


def _streams(method: Method) -> bool:
    return method.kind.streams_requests or method.kind.streams_responses
