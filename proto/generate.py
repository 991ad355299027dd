"""Generates the stubs beside the protos: `make proto`; with --check, compares instead (`make proto-check`)."""

from __future__ import annotations

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = Path("afterimage/v1")


def generate(target: Path) -> None:
    """Writes the stubs of all protos below `target`."""
    protos = sorted(str(p.relative_to(HERE)) for p in (HERE / PACKAGE).glob("*.proto"))
    bin_dir = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", "--proto_path=.",
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
