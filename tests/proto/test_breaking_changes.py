"""Breaking changes that `buf breaking` detects with the rules of proto/buf.yaml."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

BUF = Path(sys.executable).with_name("buf")
PROTO = Path(__file__).parents[2] / "proto"
_FOUND = 100  # the exit code where something was found
RELEASED = """
syntax = "proto3";
package shop.v1;

service ShelfService {
  rpc GetShelf(GetShelfRequest) returns (GetShelfResponse);
  rpc WatchShelf(WatchShelfRequest) returns (stream WatchShelfResponse);
}
message GetShelfRequest {
  reserved 9;
  string shelf_id = 1;
  int32 level = 2;
  repeated string labels = 3;
  oneof owner {
    string person = 4;
    string firm = 5;
  }
}
message GetShelfResponse { Kind kind = 1; }
message WatchShelfRequest {}
message WatchShelfResponse {}
message Unused {}
enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_WOOD = 1;
  KIND_STEEL = 2;
}
"""
BREAKING = {
    "a field is removed": ("  int32 level = 2;\n", "", "FIELD_NO_DELETE"),
    "a field is removed and its number reserved": ("int32 level = 2;", "reserved 2;", "FIELD_NO_DELETE"),
    "a field is renumbered": ("level = 2", "level = 6", "FIELD_NO_DELETE"),
    "a field is renamed": ("level", "height", "FIELD_SAME_NAME"),
    "a field has another type": ("int32 level", "string level", "FIELD_SAME_TYPE"),
    "a field has a type of the same encoding": ("int32 level", "int64 level", "FIELD_SAME_TYPE"),
    "a field becomes repeated": ("int32 level", "repeated int32 level", "FIELD_SAME_CARDINALITY"),
    "a list becomes one value": ("repeated string labels", "string labels", "FIELD_SAME_CARDINALITY"),
    "a field becomes optional": ("int32 level", "optional int32 level", "FIELD_SAME_CARDINALITY"),
    "a field leaves its oneof": ("    string firm = 5;\n  }\n", "  }\n  string firm = 5;\n", "FIELD_SAME_ONEOF"),
    "a reserved number is free again": ("  reserved 9;\n", "", "RESERVED_MESSAGE_NO_DELETE"),
    "a message is removed": ("message Unused {}\n", "", "MESSAGE_NO_DELETE"),
    "a value is removed": ("  KIND_STEEL = 2;\n", "", "ENUM_VALUE_NO_DELETE"),
    "a value is renumbered": ("KIND_STEEL = 2", "KIND_STEEL = 3", "ENUM_VALUE_NO_DELETE"),
    "a value is renamed": ("KIND_STEEL", "KIND_IRON", "ENUM_VALUE_SAME_NAME"),
    "an RPC is removed": (
        "  rpc GetShelf(GetShelfRequest) returns (GetShelfResponse);\n", "", "RPC_NO_DELETE"),
    "an RPC is renamed": ("rpc GetShelf(", "rpc ReadShelf(", "RPC_NO_DELETE"),
    "an RPC takes another message": ("(GetShelfRequest)", "(WatchShelfRequest)", "RPC_SAME_REQUEST_TYPE"),
    "an RPC gives another message": ("(GetShelfResponse);", "(WatchShelfResponse);", "RPC_SAME_RESPONSE_TYPE"),
    "requests become a stream": ("(GetShelfRequest)", "(stream GetShelfRequest)", "RPC_SAME_CLIENT_STREAMING"),
    "responses are no longer a stream": ("(stream Watch", "(Watch", "RPC_SAME_SERVER_STREAMING"),
    "the package is renamed": ("package shop.", "package store.", "FILE_SAME_PACKAGE"),
}  # fmt: skip


ADDITIONS = {
    "a field": ("int32 level = 2;", "int32 level = 2;\n  string note = 6;"),
    "a value": ("KIND_STEEL = 2;", "KIND_STEEL = 2;\n  KIND_GLASS = 3;"),
    "an RPC": (
        "service ShelfService {",
        "service ShelfService {\n  rpc Look(GetShelfRequest) returns (GetShelfResponse);",
    ),
    "a message": ("message Unused {}", "message Unused {}\nmessage Further {}"),
}


def test_each_kind_of_breaking_change_is_found_and_no_addition(tmp_path: Path) -> None:
    """Each case is a package of its own, so that one run checks all."""
    changes = {**{what: change[:2] for what, change in BREAKING.items()}, **ADDITIONS}
    for number, (what, (old, new)) in enumerate(changes.items()):
        assert old in RELEASED, what
        _write(tmp_path / "released", number, RELEASED)
        _write(tmp_path / "changed", number, RELEASED.replace(old, new, 1))
    code, said = _buf(tmp_path / "changed", "breaking", "--against", str(tmp_path / "released"), "--error-format=json")
    assert code == _FOUND, said
    found: dict[str, set[str]] = {what: set() for what in changes}
    for problem in map(json.loads, said.splitlines()):
        number = int(problem["path"].removeprefix("case").partition("/")[0])
        found[list(changes)[number]].add(problem["type"])
    assert {what: rule for what, (_, _, rule) in BREAKING.items() if rule not in found[what]} == {}
    assert [found[what] for what in ADDITIONS] == [set()] * len(ADDITIONS)


def test_a_field_that_a_released_client_sends_cannot_leave_this_api(tmp_path: Path) -> None:
    shutil.copytree(
        PROTO, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py*", "__pycache__", "client")
    )
    changed = tmp_path / "afterimage/v1/search_service.proto"
    text = changed.read_text()
    line = next(line for line in text.splitlines() if " collection = 1;" in line)
    changed.write_text(text.replace(line, "", 1))
    code, said = _buf(tmp_path, "breaking", "--against", "released.binpb", "--error-format=json")
    assert (code, "FIELD_NO_DELETE" in said) == (_FOUND, True), said


def _write(folder: Path, number: int, text: str) -> None:
    path = folder / f"case{number}/shelf.proto"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(".v1;", f".case{number};"))
    shutil.copy(PROTO / "buf.yaml", folder)


def _buf(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and the output."""
    run = subprocess.run([BUF, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout + run.stderr
