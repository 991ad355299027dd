"""Every INTERNAL error is logged with the ids of the call or run and of the record."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from service.engine.faults import as_service_error, translated_errors
from service.errors import Reason, ServiceError
from service.runtime import call_facts


def test_an_unexpected_error_of_a_record_is_logged_with_its_ids_and_the_caller_is_told_where() -> None:
    with capture_logs() as log, call_facts.about(request_id="r1", record_id="sku-7"):
        told = as_service_error(ZeroDivisionError("a secret"))
    [line] = log
    assert (line["event"], line["log_level"], line["request_id"], line["record_id"]) == (
        "internal error", "error", "r1", "sku-7",
    )  # fmt: skip
    assert isinstance(line["exc_info"], ZeroDivisionError)
    assert told.message == "an internal error; search the server's log for it under request id r1"


def test_of_a_run_the_id_of_the_run_is_said() -> None:
    with capture_logs() as log, call_facts.about(run_id="4f0c"):
        assert "under run id 4f0c" in as_service_error(ZeroDivisionError()).message
    assert log[0]["run_id"] == "4f0c"


def test_an_error_is_logged_once_on_its_way_up_but_for_each_record_that_shares_it() -> None:
    shared = ServiceError(Reason.ENCODER_FAILED, "the encoder failed")
    with capture_logs() as log, call_facts.about(request_id="r1"):
        for record in ("a", "b"):
            with call_facts.about(record_id=record):
                assert as_service_error(shared) is shared
                as_service_error(shared)
        with pytest.raises(ServiceError), translated_errors():
            raise shared
        as_service_error(shared)
    assert [line["record_id"] for line in log] == ["a", "b"]
    assert {line["reason"] for line in log} == {"ENCODER_FAILED"}


def test_what_is_expected_is_not_logged() -> None:
    with capture_logs() as log:
        as_service_error(ServiceError(Reason.IMAGE_DAMAGED, "x"))
        as_service_error(OSError("disk"))
    assert log == []
