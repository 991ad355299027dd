"""The pages without a key."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from aiohttp.test_utils import make_mocked_request

from service.metrics import Metrics
from service.web.metrics_access import MetricsAccess
from service.web.open_pages import OpenPages, Readiness, Vitals


async def test_metrics_are_written_once_for_all_who_ask_meanwhile() -> None:
    written, go_on = [], threading.Event()

    def refresh() -> None:
        written.append(threading.current_thread())
        assert go_on.wait(10)

    vitals = Vitals(Metrics(), lambda: Readiness(True), refresh)
    page: Any = OpenPages(vitals, None, lambda request: True, MetricsAccess()).pages(metrics=True)["/metrics"]
    request = make_mocked_request("GET", "/metrics")
    asking: list[asyncio.Task[Any]] = [asyncio.create_task(page(request)) for _ in range(50)]
    async with asyncio.timeout(10):
        while not written:
            await asyncio.sleep(0.001)
    asking[0].cancel()  # whoever leaves takes nothing from the others
    go_on.set()
    answers: list[Any] = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {answer.status for answer in answers[1:]} == {200}
    assert len(written) == 1
    assert (await page(make_mocked_request("GET", "/metrics"))).status == 200
    assert len(written) == 2
