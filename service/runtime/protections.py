"""The protections of pictures in this process and on this machine, and whether each is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.runtime.process import dumps_forbidden, freed_memory_is_overwritten
from service.settings.addresses import is_loopback, split_address
from service.settings.model import Settings

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Protection:
    """state: "failed" if the server promises it and it is not active, "warning" if it does not."""

    name: str
    state: State
    detail: str


def protections(settings: Settings, decoders: Mapping[str, bool], *, for_tenant: bool = False) -> list[Protection]:
    """All protections. decoders: those of the decoding processes, as they report them. for_tenant: names nothing of the
    operator's network. Reads files of /proc: for threads."""
    return [
        _held(
            "freed memory is overwritten", freed_memory_is_overwritten(),
            "glibc's perturb and tcache_count are set in the process",
            "needs glibc; the server runs without it, or does not start with strict_forgetting",
        ),
        _held("no core, no debugger", dumps_forbidden(), "RLIMIT_CORE 0, not dumpable", "rejected by the kernel"),
        Protection("model keeps no tensors", "ok", "ONNX Runtime runs without its memory arena and pattern"),
        *_decoders(decoders),
        _swap(),
        _core_pattern(),
        _transport(settings),
        _fetching(settings, for_tenant=for_tenant),
        Protection(
            "pictures on disk", "ok", "collections discard pictures; records contain vectors and a keyed digest"
        ),
    ]  # fmt: skip


def _held(name: str, holds: bool, how: str, remedy: str) -> Protection:
    return Protection(name, "ok" if holds else "failed", how if holds else remedy)


def _decoders(found: Mapping[str, bool]) -> list[Protection]:
    return [
        Protection(f"decoders: {name}", "ok" if holds else "warning", "" if holds else "not supported by this kernel")
        for name, holds in found.items()
    ]


def _swap() -> Protection:
    used = Path("/proc/swaps").read_text().splitlines()[1:] if Path("/proc/swaps").exists() else []
    if not used:
        return Protection("swap", "ok", "none: memory is not written to a disk")
    return Protection("swap", "warning", "memory may be written to a disk; disable or encrypt swap")


def _core_pattern() -> Protection:
    path = Path("/proc/sys/kernel/core_pattern")
    pattern = path.read_text().strip() if path.exists() else ""
    if pattern.startswith("|"):
        return Protection("crash handler", "ok", "installed; it gets no data of a process that is not dumpable")
    return Protection("crash handler", "ok", "none")


def _transport(settings: Settings) -> Protection:
    if settings.tls_cert is not None:
        return Protection("transport", "ok", "TLS" + (" with client certificates" if settings.client_ca else ""))
    host, _ = split_address(settings.listen, "listen")
    return Protection("transport", "ok" if is_loopback(host) else "failed", "unencrypted, on loopback only")


def _fetching(settings: Settings, *, for_tenant: bool) -> Protection:
    if not settings.fetch_urls:
        return Protection("fetching", "ok", "off")
    if settings.fetch_networks or settings.fetch_http:
        inside = ", ".join(settings.fetch_networks) or "none"
        if for_tenant:
            inside = "some" if settings.fetch_networks else "none"
        http = "allowed" if settings.fetch_http else "refused"
        return Protection("fetching", "warning", f"non-public networks: {inside}; plain http: {http}")
    return Protection("fetching", "ok", "https from public addresses only")
