"""The examples that speak gRPC, each run by its language against a real server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import Followed
from tests.clients.examples import EXAMPLES, assert_works
from tests.support.needs import missing
from tests.support.tools import need, npm_install, run

PROTO = Path(__file__).parents[2] / "proto"
JARS = Path("/usr/share/java")  # where Debian puts them
NEEDED = (
    "grpc-api", "grpc-context", "grpc-core", "grpc-netty", "grpc-protobuf", "grpc-protobuf-lite", "grpc-stub",
    "protobuf", "guava", "jsr305", "perfmark-api", "geronimo-annotation-1.3-spec", "netty-buffer", "netty-codec",
    "netty-codec-http", "netty-codec-http2", "netty-codec-socks", "netty-common", "netty-handler",
    "netty-handler-proxy", "netty-resolver", "netty-transport",
)  # fmt: skip
JAVA_REMEDY = (
    "apt-get install default-jdk-headless protobuf-compiler protobuf-compiler-grpc-java-plugin libprotobuf-dev "
    "libgrpc-java libprotobuf-java libnetty-java libguava-java libjsr305-java libperfmark-java "
    "libgeronimo-annotation-1.3-spec-java"
)

pytestmark = pytest.mark.long


def test_node_with_protos_that_are_loaded_as_they_are(followed: Followed, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node-grpc", folder, ignore=shutil.ignore_patterns("node_modules"))
    npm_install(folder)
    environment = followed.environment | {"PROTOS": str(PROTO)}
    assert_works(["node", "main.mjs"], folder, followed, environment)


def test_generators_of_other_languages_put_their_code_where_the_options_say(tmp_path: Path) -> None:
    for program in ("protoc", "protoc-gen-go"):
        need(program, "apt-get install protobuf-compiler libprotobuf-dev protoc-gen-go")
    targets = {language: tmp_path / language for language in ("csharp", "go", "php", "ruby")}
    for target in targets.values():
        target.mkdir()
    protos = sorted(str(path) for path in (PROTO / "afterimage/v1").glob("*.proto"))
    outputs = [f"--{language}_out={target}" for language, target in targets.items()]
    run(["protoc", "-I", str(PROTO), *outputs, *protos], tmp_path, dict(os.environ))
    assert "namespace Afterimage.V1 {" in (targets["csharp"] / "SearchService.cs").read_text()
    assert "\npackage afterimagev1\n" in (targets["go"] / "afterimage/v1/search_service.pb.go").read_text()
    assert "namespace Afterimage\\V1;" in (targets["php"] / "Afterimage/V1/Hit.php").read_text()
    ruby = (targets["ruby"] / "afterimage/v1/search_service_pb.rb").read_text()
    assert "module Afterimage\n  module V1\n" in ruby


def test_java_with_generated_stubs(followed: Followed, tmp_path: Path) -> None:
    for program in ("javac", "java", "protoc", "grpc_java_plugin"):
        need(program, JAVA_REMEDY)
    jars = [JARS / f"{name}.jar" for name in NEEDED]
    if absent := [jar.name for jar in jars if not jar.exists()]:
        missing(", ".join(absent), JAVA_REMEDY)
    stubs, classes = tmp_path / "stubs", tmp_path / "classes"
    stubs.mkdir()
    plugin = f"--plugin=protoc-gen-grpc-java={shutil.which('grpc_java_plugin')}"
    protos = sorted(str(path) for path in (PROTO / "afterimage/v1").glob("*.proto"))
    outputs = [f"--java_out={stubs}", f"--grpc-java_out={stubs}"]
    run(["protoc", "-I", str(PROTO), plugin, *outputs, *protos], tmp_path, dict(os.environ))
    path = os.pathsep.join(map(str, jars))
    # With -sourcepath, javac compiles only the stubs that the example uses.
    options = [
        "-nowarn",
        "-proc:none",
        "-encoding",
        "UTF-8",
        "-d",
        str(classes),
        "-cp",
        path,
        "-sourcepath",
        str(stubs),
    ]
    run(["javac", *options, "Main.java"], EXAMPLES / "java", dict(os.environ), 300)
    command = ["java", "-cp", f"{classes}{os.pathsep}{path}", "Main"]
    assert_works(command, EXAMPLES / "java", followed)
