"""Who may read the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from service.config import load_settings
from service.errors import SettingError
from service.metrics import Metrics
from service.web.metrics_access import MetricsAccess
from service.web.open_pages import OpenPages, Readiness, Vitals
from tests.support.servers.tls import make_certificates

TOKEN = "0123456789abcdef"


async def answered(access: MetricsAccess, authorization: str | None = None, query: str = "") -> Any:
    vitals = Vitals(Metrics(), lambda: Readiness(True), lambda: None, lambda: b"# of collections\n")
    page: Any = OpenPages(vitals, None, lambda request: True, access).pages(metrics=True)["/metrics"]
    headers = {} if authorization is None else {"Authorization": authorization}
    return await page(make_mocked_request("GET", f"/metrics{query}", headers=headers))


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (f"Bearer {TOKEN}", 200), (f"bearer  {TOKEN} ", 200), (None, 401), ("", 401), (TOKEN, 401), ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401), (f"Basic {TOKEN}", 401), (f"Bearer {TOKEN[:-1]}", 401), ("Bearer é", 401),
    ],
)  # fmt: skip
async def test_a_port_with_a_token_answers_those_who_show_it(tmp_path: Path, shown: str | None, status: int) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    answer = await answered(MetricsAccess(file, closed=True), shown)
    assert answer.status == status
    assert (b"afterimage_ready" in answer.body) == (status == 200)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_a_token_can_be_replaced_while_the_server_runs_and_none_is_none(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for contents, status in ((TOKEN, 200), ("another-token-16", 401), ("", 401)):
        file.write_text(contents)
        assert (await answered(MetricsAccess(file), f"Bearer {TOKEN}")).status == status
    assert (await answered(MetricsAccess(file), "Bearer ")).status == 401
    file.unlink()
    assert (await answered(MetricsAccess(file), f"Bearer {TOKEN}")).status == 401


async def test_a_port_that_is_closed_says_what_to_set() -> None:
    answer = await answered(MetricsAccess(closed=True), f"Bearer {TOKEN}")
    assert (answer.status, "metrics_token_file" in answer.text) == (403, True)


async def test_collections_are_shown_to_those_who_ask() -> None:
    assert b"# of collections" not in (await answered(MetricsAccess())).body
    assert (await answered(MetricsAccess(), query="?collections=1")).body.endswith(b"# of collections\n")


def test_the_port_of_the_api_shows_metrics_where_no_other_machine_reaches_it(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    tls = {"tls_cert": str(made.server_cert), "tls_key": str(made.server_key)}
    for given, is_open in (
        ({}, True), ({"http": "127.0.0.1:1"}, True), ({"http": "[::1]:1"}, True), ({"http": "localhost:1"}, True),
        ({"http": "127.0.0.1:1", "http_proxies": ["10.0.0.0/8"]}, False), ({"http": "0.0.0.0:1", **tls}, False),
        ({"http": "search.example:1", **tls}, False), ({"http": "0.0.0.0:1", **tls, "client_ca": str(made.ca)}, True),
        ({"http": "127.0.0.1:1", "http_proxies": ["10.0.0.0/8"], **tls, "client_ca": str(made.ca)}, False),
    ):  # fmt: skip
        assert load_settings(given).settings.http_metrics_open == is_open, given


@pytest.mark.parametrize(
    "contents", [None, "", "short", "x" * 15, "two words that are long", "é" * 20, "a" * 16 + "\n\nb"]
)
def test_a_token_that_cannot_be_used_stops_the_start(tmp_path: Path, contents: str | None) -> None:
    file = tmp_path / "token"
    if contents is not None:
        file.write_text(contents)
    with pytest.raises(SettingError, match="metrics_token_file: "):
        load_settings({"metrics_token_file": str(file)})
