"""`afterimage worker`."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.config import client_settings, load_settings, process_environment
from service.errors import SettingError
from service.runtime.process import become_prepared, forbid_dumps
from service.settings.addresses import is_loopback, split_address


def worker(
    server: Annotated[str, typer.Option(help="Address of the server, HOST:PORT.")] = "",
    redis_url: Annotated[str | None, typer.Option(help="Redis URL of the server.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="CA of the server's certificate, PEM; enables TLS.")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Client certificate of this worker, PEM, for mutual TLS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of the certificate, PEM.")] = None,
    encoders_dir: Annotated[Path | None, typer.Option(help="Directory of the server's custom encoders.")] = None,
    sync_runs: Annotated[int | None, typer.Option(help="Maximum number of concurrent syncs.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json, or console for readable text.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
) -> None:
    """Fetch and encode pictures of a server's catalogue syncs, until SIGTERM or Ctrl-C.

    Both need the same worker_secret (AFTERIMAGE_WORKER_SECRET) and the same Redis.

    Example: afterimage worker --server search.example:50051 --redis-url rediss://redis.example --ca-file ca.pem
    """
    flags: dict[str, object] = {
        "redis_url": redis_url, "tls_cert": tls_cert, "tls_key": tls_key, "encoders_dir": encoders_dir,
        "sync_runs": sync_runs, "log_format": log_format,
    }  # fmt: skip
    loaded = load_settings(flags, config)
    settings = loaded.settings
    become_prepared(sys.argv[1:], process_environment(), settings.max_image_pixels)
    forbid_dumps()

    gc.disable()  # until the start is over: what is imported would be looked through again and again
    from service.rpc.worker_client import ServerAddress
    from service.runtime.logs import configure_logs, log_setting_warnings
    from service.worker import work

    configure_logs(settings.log_level, settings.log_format)
    log_setting_warnings(loaded.warnings)
    if settings.worker_secret is None:
        raise SettingError.about("worker_secret", "is not set; pass that of the server as AFTERIMAGE_WORKER_SECRET")
    here, given = client_settings(), settings
    ca, target = ca_file or (Path(here.ca_file) if here.ca_file else None), server or here.target
    if ca is None and not is_loopback(split_address(target, "server")[0]):
        raise SettingError.about("ca_file", f"{target} is another machine; pass the CA of its certificate")
    address = ServerAddress(
        target, settings.worker_secret.get_secret_value(), ca.read_bytes() if ca else None,
        given.tls_cert.read_bytes() if given.tls_cert else None, given.tls_key.read_bytes() if given.tls_key else None,
    )  # fmt: skip
    try:
        asyncio.run(
            work(settings, address, lambda name: print(f"Worker {name} is ready: {address.target}", flush=True))
        )
    except SettingError as error:
        raise loaded.places.added_to(error) from None
