"""Which tests share a fixture that is costly to make more than once."""

from __future__ import annotations

import pytest


def group_of(item: pytest.Item) -> str:
    """The folder, or else the module, by whose fixtures a test shares something with others; "" if it shares nothing.

    Fixtures of a session do not count: every process makes them once.
    """
    info = getattr(item, "_fixtureinfo", None)
    fixtures = [definitions[-1] for definitions in info.name2fixturedefs.values()] if info is not None else []
    folders = [fixture.baseid for fixture in fixtures if fixture.scope == "package"]
    if folders:
        return str(min(folders, key=len))
    return item.nodeid.partition("::")[0] if any(f.scope in ("module", "class") for f in fixtures) else ""
