"""Protects data in the memory of the server process.

glibc reads its tunables, and OpenMP, BLAS and OpenCV their variables, before Python runs. The server therefore sets
them and executes itself again. Freed memory is then overwritten, no core is dumped, and other processes of the same
user cannot read the memory.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Mapping, Sequence

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_COMMAND = __name__.removesuffix("runtime.process") + "cli.main"
_MAX_FILES = 1 << 20  # used if there is no hard limit
_MARK = "_AFTERIMAGE_PREPARED"
# The first two overwrite freed memory. PYTHONMALLOC makes Python free small objects, such as tokens, there too. The
# last two keep blocks up to 32 MiB on the heap. ONNX Runtime runs without its arena here, and would otherwise map and
# unmap pages for every tensor, which doubles the time per picture.
_TUNABLES = ":".join(
    (
        "glibc.malloc.perturb=165",
        "glibc.malloc.tcache_count=0",
        "glibc.malloc.mmap_threshold=33554432",
        "glibc.malloc.trim_threshold=268435456",
    )
)


def prepared_environment(environment: Mapping[str, str], max_image_pixels: int) -> dict[str, str] | None:
    """The environment for a restart; None if this process already has it."""
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
    """The environment of sandboxed decoders: no settings, and therefore no keys."""
    return {name: environment[name] for name in _FOR_DECODERS if name in environment}


def freeze_gc() -> None:
    """Calls `gc.freeze()` after start-up, and enables the garbage collector.

    A collection delays every search: it takes 60 ms for the imported modules, each time enough new objects exist.
    Frozen objects are not scanned. The collector may have been disabled until now.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def start_again(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Replaces this process by the same command with another environment. Does not return.

    The working directory is not searched for modules: a file there could take the place of one.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-Pm", _COMMAND, *arguments], dict(environment))  # noqa: S606


def become_prepared(arguments: Sequence[str], environment: Mapping[str, str], max_image_pixels: int) -> None:
    """Returns if this process has the environment of a server; else restarts the command with it."""
    wanted = prepared_environment(environment, max_image_pixels)
    if wanted is not None:
        start_again(arguments, wanted)


def raise_open_files() -> int:
    """Raises the limit of open files to the hard limit. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # above the kernel's limit for any process
        return soft
    return wanted


def open_files() -> int:
    """The number of open files and sockets of this process."""
    return len(os.listdir("/proc/self/fd"))


def forbid_dumps() -> None:
    """Disables core files, and prevents other processes of this user from reading the memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def dumps_forbidden() -> bool:
    """Whether `forbid_dumps` is effective."""
    no_core = resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    return no_core and ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0


def freed_memory_is_overwritten() -> bool:
    """Tests whether freed memory is overwritten, with sizes from a small string to a buffer.

    Blocks are far smaller than those that the allocator returns to the kernel, and another block follows each. Reading
    a freed block therefore reads mapped memory.
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
