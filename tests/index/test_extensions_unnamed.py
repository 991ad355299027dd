"""The index outside of its extensions names none of them."""

from __future__ import annotations

import re
from pathlib import Path

INDEX = Path(__file__).parents[2] / "index"
EXTENSIONS = INDEX / "records" / "extensions"
OF_EXTENSIONS = re.compile(r"picture|\bfeeds?\b|withdrawn|run_counts|item_digest|url_digest", re.IGNORECASE)
WHY = {
    "__init__.py": "the front door hands out the types of extensions",
    "contract/__init__.py": "as the front door, of the contract",
    "contract/companions.py": "what a record store must keep for the extensions",
    "manifest/entries.py": "columns of collections.db and keys of the manifest, as released",
    "types/collection.py": "the policy is part of what a collection is",
    "types/companions.py": "the values of extensions",
    "types/record.py": "what extensions keep of a record comes with its write",
    "types/sources.py": "the values of extensions",
}


def test_what_names_an_extension_is_listed_with_the_reason() -> None:
    naming = {
        path.relative_to(INDEX).as_posix()
        for path in INDEX.rglob("*.py")
        if EXTENSIONS not in path.parents and OF_EXTENSIONS.search(path.read_text(encoding="utf-8"))
    }
    assert naming == WHY.keys()


def test_one_module_imports_the_extensions() -> None:
    modules = {path.stem for path in EXTENSIONS.glob("*.py")} - {"__init__", "hook", "registered"}
    imported = re.compile(rf"index\.records\.extensions(\.| import .*\b)({'|'.join(modules)})\b")
    importing = {
        path.relative_to(INDEX).as_posix()
        for path in INDEX.rglob("*.py")
        if EXTENSIONS not in path.parents and imported.search(path.read_text(encoding="utf-8"))
    }
    assert modules
    assert importing == set()
