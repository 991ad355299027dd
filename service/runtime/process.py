"""How the server's process protects what passes through its memory.

glibc reads its tunables, and OpenMP, BLAS and OpenCV their variables, before Python runs; so the server starts itself
once more with them set. Freed memory is then overwritten, no core is dumped, and no other process of the same user may
read the memory.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Mapping, Sequence

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_MOST_FILES = 1 << 20  # where there is no limit
_MARK = "_AFTERIMAGE_PREPARED"
# The first two overwrite freed memory; PYTHONMALLOC has Python's small objects, tokens among them, freed there too. The
# last two keep blocks up to 32 MiB on the heap: ONNX Runtime, which runs here without its arena, would otherwise map
# and unmap pages for every tensor, at about twice the time per picture.
_TUNABLES = ":".join(
    (
        "glibc.malloc.perturb=165",
        "glibc.malloc.tcache_count=0",
        "glibc.malloc.mmap_threshold=33554432",
        "glibc.malloc.trim_threshold=268435456",
    )
)


def prepared_environment(environment: Mapping[str, str], max_image_pixels: int) -> dict[str, str] | None:
    """The environment to start again with, or None where this process has it already."""
    if environment.get(_MARK) == "1":
        return None
    present = environment.get("GLIBC_TUNABLES")
    return {
        **environment,
        _MARK: "1",
        "GLIBC_TUNABLES": f"{present}:{_TUNABLES}" if present else _TUNABLES,
        "PYTHONMALLOC": "malloc",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_IO_MAX_IMAGE_PIXELS": str(max_image_pixels),
    }


_FOR_DECODERS = (
    "PATH",
    "LANG",
    "GLIBC_TUNABLES",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENCV_IO_MAX_IMAGE_PIXELS",
)


def decoder_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What sandboxed decoders see of the environment: no setting, and so no key."""
    return {name: environment[name] for name in _FOR_DECODERS if name in environment}


def freeze_gc() -> None:
    """Calls `gc.freeze()` after start-up: collections no longer go through what the server has imported, for which all
    threads wait 60 ms each time. Turns the collector on where it was off."""
    gc.collect()
    gc.freeze()
    gc.enable()


def start_again(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Replaces this process by the same command in the given environment. Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", "service.cli.main", *arguments], dict(environment))  # noqa: S606


def become_prepared(arguments: Sequence[str], environment: Mapping[str, str], max_image_pixels: int) -> None:
    """Returns where this process has the environment of a server; else starts the command again with it."""
    wanted = prepared_environment(environment, max_image_pixels)
    if wanted is not None:
        start_again(arguments, wanted)


def raise_open_files() -> int:
    """Lets this process have as many files open as it may ask for; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # more than the kernel allows any process
        return soft
    return wanted


def open_files() -> int:
    """How many files, sockets among them, this process has open."""
    return len(os.listdir("/proc/self/fd"))


def forbid_dumps() -> None:
    """No core files, and no other process of this user may read the memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def dumps_forbidden() -> bool:
    """Whether `forbid_dumps` holds in this process."""
    no_core = resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    return no_core and ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0


def freed_memory_is_overwritten() -> bool:
    """Allocates, fills, frees and looks, in sizes from that of a small string to that of a buffer.

    Blocks stay far below the size from which the allocator gives memory back to the kernel, and another block follows
    each, so that looking at one that was freed reads memory that is still there.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    return all(_is_overwritten(libc, size) for size in (200, 1000, 5000, 60_000) for _ in range(3))


def _is_overwritten(libc: ctypes.CDLL, size: int) -> bool:
    mark = b"afterimage"
    block, guard = libc.malloc(size), libc.malloc(64)
    content = mark * (size // len(mark))
    ctypes.memmove(block, content, len(content))
    libc.free(block)
    left = ctypes.string_at(block, len(content)).count(mark)
    libc.free(guard)
    return left == 0
