"""Generates the stubs beside the protos: `make proto`; with --check, compares instead (`make proto-check`).

The compiler is an old one, in a virtual environment of its own: stubs work with newer runtimes than their compiler's,
never with older ones, and shops have both (docs/decisions/0046-client-beside-what-shops-have.md).
"""

from __future__ import annotations

import filecmp
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = Path("afterimage/v1")
LOCK = HERE / "compiler.lock"
COMPILERS = HERE.parent / "build" / "proto-compiler"
PYTHONS = ("python3.11", "python3.12")  # those that the old compiler has wheels for


def compiler() -> Path:
    """Returns the Python that has the pinned compiler. Installs it on first use, from the package registry."""
    folder = COMPILERS / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([_base_python(), "-m", "venv", folder], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
             "--require-hashes", "-r", LOCK],
            check=True,
        )  # fmt: skip
        (folder / "installed").touch()
    return python


def _base_python() -> str:
    if sys.version_info < (3, 13):
        return sys.executable
    for name in PYTHONS:
        if found := shutil.which(name):
            return found
    raise SystemExit(f"proto: the pinned compiler of the stubs needs {' or '.join(PYTHONS)} on PATH; none was found")


def generate(target: Path) -> None:
    """Writes the stubs of all protos below `target`."""
    protos = sorted(str(p.relative_to(HERE)) for p in (HERE / PACKAGE).glob("*.proto"))
    bin_dir = Path(sys.executable).parent
    subprocess.run(
        [
            compiler(), "-W", "ignore", "-m", "grpc_tools.protoc", "--proto_path=.",
            f"--plugin=protoc-gen-mypy={bin_dir / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={bin_dir / 'protoc-gen-mypy_grpc'}",
            f"--python_out={target}", f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}", f"--mypy_grpc_out=quiet:{target}", *protos,
        ],
        cwd=HERE, check=True,
    )  # fmt: skip
    for stub in (target / PACKAGE).glob("*_pb2_grpc.py*"):
        proto = HERE / PACKAGE / f"{stub.name.split('_pb2_grpc')[0]}.proto"
        if "\nservice " not in proto.read_text():
            stub.unlink()  # a proto without services needs none


def main() -> int:
    """Returns the exit code."""
    if "--check" not in sys.argv[1:]:
        generate(HERE)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {p.name for p in (Path(folder) / PACKAGE).iterdir()}
        committed = {p.name for p in (HERE / PACKAGE).glob("*_pb2*.py*")}
        stale = sorted(fresh ^ committed) + [
            name for name in sorted(fresh & committed)
            if not filecmp.cmp(Path(folder) / PACKAGE / name, HERE / PACKAGE / name, shallow=False)
        ]  # fmt: skip
    if stale:
        print(f"stubs are not current: {', '.join(stale)}; run `make proto`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
