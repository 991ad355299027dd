"""The front door of the index hands out every name, and imports no more for it than what the name needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import index


def test_every_name_comes_from_where_the_type_checker_sees_it() -> None:
    tree = ast.parse(Path(index.__file__).read_text())
    imports = {a.name: n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    of_index = {name: module for name, module in imports.items() if str(module).startswith("index.")}
    assert of_index == {name: f"index.{module}" for name, module in index._MODULE_OF.items()}
    assert set(index.__all__) <= of_index.keys()
    for name, module in of_index.items():
        assert getattr(index, name) is getattr(sys.modules[str(module)], name)


def test_a_name_that_there_is_not_is_refused() -> None:
    with pytest.raises(AttributeError, match="'index' has no attribute 'Catalogue'"):
        index.Catalogue  # noqa: B018
    with pytest.raises(ImportError):
        exec("from index import Catalogue")


@pytest.mark.parametrize("child", ["service.sync.feed_input.feed_worker", "index.vectors.ann.ann_builder"])
def test_child_processes_import_no_store_and_no_collection(child: str) -> None:
    said = f"import sys, {child}; print(*(m for m in sys.modules if m.startswith(('index.', 'sqlcipher3'))))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert loaded
    assert not [m for m in loaded if m.startswith(("index.collection", "index.records", "index.tenant", "sqlcipher3"))]
