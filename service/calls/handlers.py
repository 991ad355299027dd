"""Binds the table of methods to the objects that handle the calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any

from service.calls.method import Method
from service.tenancy.keyring import Principal

# Of the request, or of an async iterator of requests. A call with one response awaits it, others are iterated.
Handler = Callable[[Any, Principal], Awaitable[Any] | AsyncGenerator[Any, None]]


def bind(methods: Mapping[str, Method], handlers: Mapping[str, object]) -> dict[str, Handler]:
    """Returns the handler of each method, by path.

    `handlers`: an object for each service, by the service's full name, with a method named like each RPC. Raises
    LookupError if a handler is missing or belongs to no row.
    """
    bound = {path: _handler_of(method, handlers) for path, method in methods.items()}
    rows = {f"{method.service}/{method.row.name}" for method in methods.values()}
    extra = sorted(set(_public(handlers)) - rows)
    if extra:
        raise LookupError(f"handlers without a row in the table of methods: {', '.join(extra)}")
    return bound


def _handler_of(method: Method, handlers: Mapping[str, object]) -> Handler:
    handler = getattr(handlers.get(method.service), method.row.name, None)
    if not callable(handler):
        raise LookupError(f"{method.name} is in the table of methods and has no handler")
    return handler  # type: ignore[no-any-return]


def _public(handlers: Mapping[str, object]) -> Iterable[str]:
    """Returns the RPCs of an object: its methods whose names begin with a capital."""
    for service, handler in handlers.items():
        yield from (f"{service}/{name}" for name in dir(type(handler)) if name[0].isupper())
