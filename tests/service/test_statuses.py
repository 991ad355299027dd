"""Every error has a status in gRPC and in HTTP, from one table."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

import grpc
import pytest

import service
from service.errors import Code, Reason
from service.statuses import HTTP_STATUS, grpc_status, http_status


def test_every_code_has_a_status_in_both() -> None:
    numbers = {code.value[0] for code in grpc.StatusCode}
    assert set(HTTP_STATUS) == set(Code)
    for reason in Reason:
        assert grpc_status(reason) in numbers
        assert HTTPStatus(http_status(reason)).value >= 400


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.LINK_INVALID, 404), (Reason.LINK_EXPIRED, 410), (Reason.PICTURE_NOT_FOUND, 404),
        (Reason.PICTURE_DAMAGED, 409), (Reason.PICTURES_NOT_SERVED, 409), (Reason.STORE_UNAVAILABLE, 503),
        (Reason.KEY_INVALID, 401), (Reason.SCOPE_MISSING, 403), (Reason.OVERLOADED, 429), (Reason.DEADLINE, 504),
        (Reason.CONFLICT, 409), (Reason.ARGUMENT_INVALID, 400), (Reason.INTERNAL, 500), (Reason.MESSAGE_LATE, 408),
    ],
)  # fmt: skip
def test_the_status_says_what_to_do(reason: Reason, status: int) -> None:
    assert http_status(reason) == status


def test_a_server_error_is_one_that_the_caller_did_not_make() -> None:
    mistakes = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.PERMISSION_DENIED}
    assert not {r for r in Reason if http_status(r) >= 500 and r.code in mistakes}


def test_no_second_table_maps_codes_to_statuses() -> None:
    table = re.compile(r"Code\.[A-Z_]+: [2345]\d\d\b")
    root = Path(service.__file__).parent
    found = {str(p.relative_to(root)) for p in root.rglob("*.py") if table.search(p.read_text())}
    assert found == {"statuses.py"}
