"""`afterimage serve`."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.config import load_settings, process_environment
from service.errors import SettingError
from service.runtime.process import become_prepared, forbid_dumps


def serve(
    data_dir: Annotated[Path | None, typer.Option(help="Data directory; created if missing.")] = None,
    listen: Annotated[
        str | None, typer.Option(help="Address of the gRPC server, HOST:PORT. Port 0 selects a free port.")
    ] = None,
    http: Annotated[
        str | None, typer.Option(help="Address of the HTTP server: API, metrics and health, HOST:PORT.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Address of a port for metrics and health alone, plain HTTP, HOST:PORT.")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Number of processes that answer calls.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Server certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of the certificate, PEM.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="CA of client certificates, PEM; enables mutual TLS.")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Redis URL. Default: an embedded Redis.")] = None,
    encoders_dir: Annotated[Path | None, typer.Option(help="Directory with one folder per custom encoder.")] = None,
    default_encoder: Annotated[str | None, typer.Option(help="Encoder of new collections that specify none.")] = None,
    master_key_file: Annotated[Path | None, typer.Option(help="File of the master key.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json, or console for readable text.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Example: afterimage serve --data-dir data --listen 127.0.0.1:50051 --http 127.0.0.1:50080
    """
    flags = dict(locals())
    flags.pop("config")
    loaded = load_settings(flags, config)
    become_prepared(sys.argv[1:], process_environment(), loaded.settings.max_image_pixels)
    forbid_dumps()

    gc.disable()  # until the start is over: what is imported would be looked through again and again
    from service.composition import (  # only now: FAISS and OpenCV read their variables when they load
        data_directory,
        run,
    )
    from service.lifecycle import Addresses
    from service.processes.role import Kind, role_of
    from service.processes.supervisor import Command, ProcessFailed, Supervisor
    from service.runtime.logs import configure_logs, log_setting_warnings

    configure_logs(loaded.settings.log_level, loaded.settings.log_format)

    log_setting_warnings(loaded.warnings)

    def announce(addresses: Addresses) -> None:
        named = (("HTTP", addresses.http), ("metrics", addresses.metrics))
        http_part = "".join(f", {name} on {address}" for name, address in named if address)
        print(f"Afterimage {data_directory.version()} is ready: gRPC on {addresses.grpc}{http_part}", flush=True)

    try:
        role = role_of(process_environment())
        if role is not None:
            serving = run.serve if role.kind is Kind.WRITER else run.serve_queries
            asyncio.run(serving(role.settings(loaded.settings), role.tell_ready, role))
        elif loaded.settings.processes > 1:
            asyncio.run(Supervisor(loaded.settings, Command(sys.argv[1:], process_environment())).run(announce))
        else:
            asyncio.run(run.serve(loaded.settings, announce))
    except ProcessFailed as error:
        raise typer.Exit(error.status) from None
    except SettingError as error:
        raise loaded.places.added_to(error) from None
