"""Notifies a shop's webhook of a run that has ended or waits, with a signature.

The header `Afterimage-Signature: t=<seconds since 1970>,v1=<hexadecimal>` contains HMAC-SHA256 over `<seconds>.<body>`
under the source's secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import asdict
from itertools import count

import orjson
import structlog

from service.errors import Code, ServiceError
from service.intake.download.fetch import FetchRequest
from service.runtime.clock import now_ms
from service.runtime.retry import RetryPolicy
from service.sync.feed_input.fetching import FeedFetcher
from service.sync.model import Run
from service.sync.source_model import Source

_LOG = structlog.get_logger(__name__)
_RETRIES = RetryPolicy({Code.UNAVAILABLE}, first_s=1.0, factor=8.0, longest_s=600.0, tries=4, spread=False)


def payload(source: Source, run: Run) -> bytes:
    """The notification as JSON, without any data of records."""
    plan = run.plan
    return orjson.dumps(
        {
            "event": "run." + str(run.state), "source": source.config.name, "collection": run.collection,
            "run_id": run.run_id, "state": str(run.state), "reason": run.reason, "message": run.message,
            "counts": asdict(run.counts), "plan_digest": plan.digest, "concerns": list(plan.concerns),
            "ended_ms": run.ended_ms,
        }
    )  # fmt: skip


def signature(secret: str, body: bytes, seconds: int) -> str:
    """The value of the header."""
    signed = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={signed}"


async def notify(fetcher: FeedFetcher, source: Source, run: Run, hosts: Collection[str] | None) -> None:
    """Sends a notification to the source's webhook, with retries. Failures are logged."""
    hook, body = source.config.webhook, payload(source, run)
    for failures in count(1):
        signed = signature(hook.secret, body, now_ms() // 1000)
        try:
            await fetcher.tell(FetchRequest(hook.url, hosts, body=body, signature=signed))
            return
        except ServiceError as error:
            pause_s = _RETRIES.pause_s(error, failures)
            if pause_s is None:
                _LOG.warning("could not send a webhook", run_id=run.run_id, reason=error.reason.name)
                return
            await asyncio.sleep(pause_s)
