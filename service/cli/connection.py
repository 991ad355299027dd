"""The client of commands, with target and key from options or the environment."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from afterimage.client import Client, idempotency_key
from service.cli.output import CommandError, Exit
from service.config import client_settings, read_key_file

TargetOption = Annotated[str, typer.Option("--target", help="HOST:PORT of the server. [env: AFTERIMAGE_TARGET]")]
KeyFileOption = Annotated[
    Path | None, typer.Option("--api-key-file", help="File with the API key. [env: AFTERIMAGE_API_KEY holds the key]")
]
CaFileOption = Annotated[
    Path | None,
    typer.Option("--ca-file", help="CA certificate, PEM; enables TLS. [env: AFTERIMAGE_CA_FILE]"),
]

KeyOption = Annotated[
    str,
    typer.Option("--idempotency-key", help="Key of yours: within a day, the same command with it is carried out once."),
]


def connect(target: str, api_key_file: Path | None, ca_file: Path | None, timeout_s: float = 30.0) -> Client:
    """Connects a client. `timeout_s`: of a call, its repetitions included. Raises CommandError without a key."""
    settings = client_settings()
    key = read_key_file(api_key_file) if api_key_file else settings.api_key
    if not key:
        message = (
            "no API key: set AFTERIMAGE_API_KEY or pass --api-key-file (create a key with `afterimage keys create`)"
        )
        raise CommandError(message, reason="KEY_MISSING", code=Exit.USAGE)
    ca_path = ca_file or (Path(settings.ca_file) if settings.ca_file else None)
    ca = ca_path.read_bytes() if ca_path else None
    return Client(target or settings.target, key, ca=ca, timeout_s=timeout_s)


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Passes a connected client to a command as its first argument.

    Adds the options --target, --api-key-file and --ca-file before --json.
    """
    return _connected(command, ())


def with_keyed_client(command: Callable[..., None]) -> Callable[..., None]:
    """As `with_client`, for commands that create or start something. Adds --idempotency-key, too."""
    return _connected(command, (("idempotency_key", KeyOption, ""),))


def _connected(command: Callable[..., None], further: tuple[tuple[str, Any, str], ...]) -> Callable[..., None]:
    @functools.wraps(command)
    def connected(
        *args: Any, target: str, api_key_file: Path | None, ca_file: Path | None, idempotency_key: str = "",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        with connect(target, api_key_file, ca_file) as client, _keyed(idempotency_key):
            command(client, *args, **kwargs)

    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    options = [
        _option(n, a, d)
        for n, a, d in (
            *further,
            ("target", TargetOption, ""),
            ("api_key_file", KeyFileOption, None),
            ("ca_file", CaFileOption, None),
        )
    ]
    parameters = [*own[:-1], *options, own[-1]]
    connected.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    connected.__annotations__ = {p.name: p.annotation for p in parameters}
    return connected


def _keyed(key: str) -> contextlib.AbstractContextManager[None]:
    return idempotency_key(key) if key else contextlib.nullcontext()


def _option(name: str, annotation: Any, default: str | None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
