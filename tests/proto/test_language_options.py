"""The options of the protos for generators of other languages, and what `buf breaking` makes of them."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor

BUF = Path(sys.executable).with_name("buf")
PROTO = Path(__file__).parents[2] / "proto"
PROTOS = sorted((PROTO / "afterimage/v1").glob("*.proto"))
OPTIONS = (
    "csharp_namespace", "go_package", "java_multiple_files", "java_outer_classname", "java_package", "php_namespace",
    "ruby_package",
)  # fmt: skip


def by_convention(package: str, stem: str) -> dict[str, object]:
    """The options of the file `stem`.proto of a package: the package, as each language writes it."""
    parts = package.split(".")
    capitalized = [part.capitalize() for part in parts]
    return {
        "csharp_namespace": ".".join(capitalized),
        "go_package": f"{'/'.join(parts)};{''.join(parts)}",
        "java_multiple_files": True,
        "java_outer_classname": "".join(word.capitalize() for word in stem.split("_")) + "Proto",
        "java_package": package,
        "php_namespace": "\\".join(capitalized),
        "ruby_package": "::".join(capitalized),
    }


def present(options: descriptor_pb2.FileOptions) -> dict[str, object]:
    """The options of languages that are set."""
    return {field.name: value for field, value in options.ListFields() if field.name in OPTIONS}


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.stem)
def test_each_proto_has_the_options_of_all_languages(path: Path) -> None:
    file = importlib.import_module(f"afterimage.v1.{path.stem}_pb2").DESCRIPTOR
    assert present(file.GetOptions()) == by_convention(file.package, path.stem)


def test_every_class_of_java_has_a_name_of_its_own() -> None:
    """With java_multiple_files, all messages, enums, services and outer classes share one package."""
    names: list[str] = []
    for path in PROTOS:
        file = descriptor_pb2.FileDescriptorProto()
        importlib.import_module(f"afterimage.v1.{path.stem}_pb2").DESCRIPTOR.CopyToProto(file)
        names += [file.options.java_outer_classname]
        names += [named.name for kind in (file.message_type, file.enum_type) for named in kind]
        names += [f"{service.name}Grpc" for service in file.service]
    folded = [name.lower() for name in names]  # file systems without case know one file of each
    assert len(PROTOS) < len(names)
    assert sorted({name for name in folded if folded.count(name) > 1}) == []


def test_no_two_fields_have_one_accessor_in_java() -> None:
    """`hits` that is repeated has getHitsCount() and getHitsList(), as a field `hits_count` would."""
    clashes = []
    for path in PROTOS:
        file = importlib.import_module(f"afterimage.v1.{path.stem}_pb2").DESCRIPTOR
        for message in file.message_types_by_name.values():
            names = {field.name for field in message.fields}
            for field in message.fields:
                added = {f"{field.name}_{suffix}" for suffix in java_accessors(field)}
                clashes += [f"{message.name}.{name}" for name in sorted(added & names)]
    assert clashes == []


def java_accessors(field: FieldDescriptor) -> tuple[str, ...]:
    """What Java appends to the name of a field for further accessors."""
    if field.is_repeated:
        return ("count", "list", "map", "builder", "builder_list", "or_builder", "or_builder_list")
    if field.message_type is not None:
        return ("builder", "or_builder")
    return ("value",) if field.enum_type is not None else ("bytes",) if field.cpp_type == field.CPPTYPE_STRING else ()


def test_the_rules_are_only_off_while_the_released_api_has_no_options() -> None:
    released = descriptor_pb2.FileDescriptorSet.FromString((PROTO / "released.binpb").read_bytes())
    files = [file for file in released.file if file.package.startswith("afterimage")]
    assert files
    lacking = any(present(file.options).keys() != set(OPTIONS) for file in files)
    off = {f"FILE_SAME_{name.upper()}" for name in OPTIONS} if lacking else set()
    configuration = (PROTO / "buf.yaml").read_text()
    _, _, exceptions = configuration.partition("except:")
    assert {line.strip("- ") for line in exceptions.splitlines() if line.strip()} == off


def test_only_the_rules_of_these_options_are_off(tmp_path: Path) -> None:
    """All options change at once, and the package too."""
    for name, number in (("released", 1), ("changed", 2)):
        (tmp_path / name).mkdir()
        shutil.copy(PROTO / "buf.yaml", tmp_path / name)
        lines = [
            f"option {option} = {json.dumps(value)};\n"
            for option, value in by_convention(f"shop.v{number}", f"shelf{number}").items()
            if option != "java_multiple_files"
        ]
        lines.append(f"option cc_enable_arenas = {'true' if number == 1 else 'false'};\n")
        head = f'syntax = "proto3";\npackage shop.v{number};\n'
        (tmp_path / name / "shelf.proto").write_text(head + "".join(lines))
    command = [str(BUF), "breaking", "--against", str(tmp_path / "released"), "--error-format=json"]
    run = subprocess.run(command, cwd=tmp_path / "changed", capture_output=True, text=True, check=False)
    found = {json.loads(line)["type"] for line in (run.stdout + run.stderr).splitlines()}
    assert found == {"FILE_SAME_PACKAGE", "FILE_SAME_CC_ENABLE_ARENAS"}, run.stdout
