import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service.runtime.logs import configure_logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_only_fields_of_the_allow_list_reach_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger("x").info("call", method="/m", image=b"PIXELS", api_key="af_live_secret", url="http://h/?q=1")
    line = written(capsys)[0]
    assert line["event"] == "call"
    assert line["method"] == "/m"
    assert not {"image", "api_key", "url"} & line.keys()


def test_bytes_and_long_text_do_not_pass_even_in_allowed_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger("x").info("e", reason=b"PIXELS", method="m" * 5000)
    line = written(capsys)[0]
    assert line["reason"] == "<6 bytes>"
    assert len(line["method"]) == 300


@pytest.mark.parametrize("through", ["structlog", "stdlib"])
def test_an_exception_is_logged_by_type_and_place_without_its_text(
    capsys: pytest.CaptureFixture[str], through: str
) -> None:
    configure_logs("info", "json")
    try:
        raise ValueError("PIXELS IN A MESSAGE")
    except ValueError as error:
        if through == "structlog":
            structlog.get_logger("x").error("failed", exc_info=error)
        else:
            logging.getLogger("x").exception("failed")
    line = written(capsys)[0]
    assert line["exception"] == "ValueError"
    assert any("test_logs.py" in place for place in line["places"])
    assert "PIXELS" not in json.dumps(line)
