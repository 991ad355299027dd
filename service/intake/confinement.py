"""Removes the privileges that a decoder process does not need, before it reads a picture.

A decoder that a hostile picture has taken over keeps only its own memory and the socket to the server. It cannot open
files or sockets, start programs or processes, outlive the server or its processor time, or write a core file. Landlock
(Linux 5.13, docs.kernel.org/userspace-api/landlock.html) and seccomp filters are used if the kernel supports them.
`confine` returns which protections are active.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights each ABI version knows
_CPU_SECONDS = 3600
# Numbers of system calls, and the architecture's own number for the filter (asm/unistd.h, linux/audit.h).
_FORBIDDEN_CALLS = {
    "x86_64": (0xC000003E, {"socket": 41, "connect": 42, "fork": 57, "vfork": 58, "execve": 59, "ptrace": 101,
                            "execveat": 322, "process_vm_readv": 310, "process_vm_writev": 311}),
    "aarch64": (0xC00000B7, {"socket": 198, "connect": 203, "execve": 221, "ptrace": 117, "execveat": 281,
                             "process_vm_readv": 270, "process_vm_writev": 271}),
}  # fmt: skip
_CLONE, _CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
_X32_BIT = 0x40000000


def confine(memory_bytes: int) -> dict[str, bool]:
    """Confines this process permanently. It must have a single thread. `memory_bytes` limits its address space.

    Returns a map from the name of each protection to whether it is active. Raises OSError if a basic resource limit
    cannot be set.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    steps: dict[str, Callable[[], bool]] = {
        "ends with the server": lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0,
        "not dumpable": lambda: libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0,
        "no new privileges": lambda: libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "no files (Landlock)": lambda: _forbid_files(libc),
        "no sockets, programs, processes (seccomp)": lambda: _forbid_calls(libc),
    }
    limits = {"address space, processor time, file size, core size": True}
    return limits | {name: step() for name, step in steps.items()}


def _forbid_files(libc: ctypes.CDLL) -> bool:
    """Applies a Landlock rule set that handles every right and grants none.

    It covers files, TCP ports, signals and abstract sockets.
    """
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    files = (1 << _LANDLOCK_FILE_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("<Q", files)
    if version >= 4:
        attributes += struct.pack("<Q", 0b11)
    if version >= 6:
        attributes += struct.pack("<Q", 0b11)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _forbid_calls(libc: ctypes.CDLL) -> bool:
    """Applies a seccomp filter under which the calls in `_FORBIDDEN_CALLS` fail with EPERM.

    `clone` also fails with EPERM unless it creates a thread. A filter cannot read the arguments of `clone3`. That call
    returns ENOSYS, as in older kernels, so that the C library falls back to `clone`.
    """
    known = _FORBIDDEN_CALLS.get(platform.machine())
    if known is None:
        return False
    program = _filter_program(known[0], tuple(known[1].values()), _CLONE[platform.machine()])
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, header, 0, 0) == 0)


def _filter_program(architecture: int, calls: tuple[int, ...], clone: int) -> bytes:
    """Returns Berkeley Packet Filter code over struct seccomp_data.

    Offsets in that struct: system call number at 0, architecture at 4, first argument at 16.
    """
    load, equal, greater, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, absent, kill = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000  # EPERM, ENOSYS
    clone_thread = 0x00010000
    begin = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, kill), (load, 0, 0, 0)]
    comparisons = [(greater, _X32_BIT), *((equal, call) for call in calls), (equal, _CLONE3)]
    end = [
        (equal, 0, 3, clone),  # clone makes a thread or a process
        (load, 0, 0, 16),
        (any_bit, 1, 0, clone_thread),
        (give, 0, 0, refuse),
        (give, 0, 0, allow),
        (give, 0, 0, absent),
    ]
    answers = [absent if value == _CLONE3 else refuse for _, value in comparisons]
    skipped = [len(comparisons) - 1 - i + end.index((give, 0, 0, answer)) for i, answer in enumerate(answers)]
    checks = [(op, skip, 0, value) for (op, value), skip in zip(comparisons, skipped, strict=True)]
    return b"".join(struct.pack("HBBI", *line) for line in (*begin, *checks, *end))
