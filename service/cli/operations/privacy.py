"""The checks of `afterimage doctor --privacy`: each protection of pictures, and whether it is active on this
machine.

They run in a process started like a server, so that the results are those of a server.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from service.cli.output import Check
from service.composition.parts import decoders_of
from service.encoder.decode_pool.pool import Decoders
from service.runtime.process import dumps_forbidden, freed_memory_is_overwritten
from service.settings.addresses import is_loopback, split_address
from service.settings.model import Settings


def privacy_checks(settings: Settings) -> list[Check]:
    """All checks. A missing protection is `failed` if the server promises it, else a `warning`."""
    return [
        _held(
            "freed memory is overwritten", freed_memory_is_overwritten(),
            "glibc's perturb and tcache_count are set in the process",
            "needs glibc; the server runs without it, or does not start with strict_forgetting",
        ),
        _held("no core, no debugger", dumps_forbidden(), "RLIMIT_CORE 0, not dumpable", "rejected by the kernel"),
        Check("model keeps no tensors", "ok", "ONNX Runtime runs without its memory arena and pattern"),
        *_decoders(settings),
        _swap(),
        _core_pattern(),
        _transport(settings),
        _fetching(settings),
        Check("pictures on disk", "ok", "collections discard pictures; records contain vectors and a keyed digest"),
    ]  # fmt: skip


def _held(name: str, holds: bool, how: str, remedy: str) -> Check:
    return Check(name, "ok" if holds else "failed", how if holds else remedy)


def _decoders(settings: Settings) -> list[Check]:
    async def protections(decoders: Decoders) -> dict[str, bool]:
        try:
            await decoders.start()
            return decoders.protections
        finally:
            await decoders.close()

    found = asyncio.run(protections(decoders_of(settings.model_copy(update={"decode_processes": 1}))))
    return [
        Check(f"decoders: {name}", "ok" if holds else "warning", "" if holds else "not supported by this kernel")
        for name, holds in found.items()
    ]


def _swap() -> Check:
    used = Path("/proc/swaps").read_text().splitlines()[1:] if Path("/proc/swaps").exists() else []
    if not used:
        return Check("swap", "ok", "none: memory is not written to a disk")
    return Check("swap", "warning", "memory may be written to a disk; disable or encrypt swap")


def _core_pattern() -> Check:
    path = Path("/proc/sys/kernel/core_pattern")
    pattern = path.read_text().strip() if path.exists() else ""
    if pattern.startswith("|"):
        return Check("crash handler", "ok", "installed; it gets no data of a process that is not dumpable")
    return Check("crash handler", "ok", "none")


def _transport(settings: Settings) -> Check:
    if settings.tls_cert is not None:
        return Check("transport", "ok", "TLS" + (" with client certificates" if settings.client_ca else ""))
    host, _ = split_address(settings.listen, "listen")
    state = "ok" if is_loopback(host) else "failed"
    return Check("transport", state, "unencrypted, on loopback only")


def _fetching(settings: Settings) -> Check:
    if not settings.fetch_urls:
        return Check("fetching", "ok", "off")
    if settings.fetch_networks or settings.fetch_http:
        inside = ", ".join(settings.fetch_networks) or "none"
        http = "allowed" if settings.fetch_http else "refused"
        return Check("fetching", "warning", f"non-public networks: {inside}; plain http: {http}")
    return Check("fetching", "ok", "https from public addresses only")
