"""Limits of requests come from one table, and pages have the sizes that it says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import service.handlers
from service.errors import Reason, ServiceError
from service.handlers.conversion.values import page_size
from service.handlers.request_limits import PAGE, RUNS, PageSize


@pytest.mark.parametrize("allowed", [PAGE, RUNS])
def test_a_page_has_the_size_that_is_asked_for_or_the_default(allowed: PageSize) -> None:
    assert [page_size(n, allowed) for n in (0, 1, allowed.largest)] == [allowed.default, 1, allowed.largest]
    for wrong in (-1, allowed.largest + 1):
        with pytest.raises(ServiceError, match=f"page_size is {wrong}, not within 0..{allowed.largest}") as caught:
            page_size(wrong, allowed)
        assert (caught.value.reason, caught.value.field) == (Reason.ARGUMENT_INVALID, "page_size")


def test_no_handler_has_a_limit_of_its_own() -> None:
    found = []
    for path in Path(service.handlers.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("within", "number_within", "check_count"):
                numbers = [n.value for a in node.args for n in ast.walk(a) if isinstance(n, ast.Constant)]
                found += [(path.name, n) for n in numbers if isinstance(n, int | float) and n > 1]
    assert found == []
