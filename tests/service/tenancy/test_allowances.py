"""Rate limits and picture quotas of tenants and keys; the same rules apply without Redis."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from index import Quota
from service.coordination.rates import Rates
from service.errors import Reason, ServiceError
from service.metrics import Metrics
from service.tenancy.allowances import Allowances
from service.tenancy.keyring import Principal
from service.tenancy.limits import Limits
from service.tenancy.registry import TenantRegistry
from tests.support.manual_clock import ManualClock

CALLER = Principal("tenant", "key", frozenset())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def allowances(registry: TenantRegistry, tmp_path: Path, clock: ManualClock) -> Allowances:
    nowhere = Redis(unix_socket_path=str(tmp_path / "nowhere"), retry=Retry(NoBackoff(), 0))
    return Allowances(registry.limits, Rates(nowhere, clock), Metrics())


async def told(allowances: Allowances, caller: Principal) -> tuple[Reason, str, float | None] | None:
    try:
        await allowances.request(caller)
    except ServiceError as error:
        return error.reason, error.message, error.retry_delay_s
    return None


async def test_a_key_and_its_tenant_have_rates_of_their_own(allowances: Allowances) -> None:
    caller = replace(CALLER, key_requests_per_s=2.0, max_requests_per_s=4.0)
    assert [await told(allowances, caller) for _ in range(2)] == [None, None]
    assert await told(allowances, caller) == (Reason.RATE_EXCEEDED, "this key is limited to 2 requests per second", 0.5)
    other = replace(caller, key_id="other")
    assert [await told(allowances, other) for _ in range(2)] == [None, None]
    other = replace(caller, key_id="third")
    refused = await told(allowances, other)
    assert refused == (Reason.RATE_EXCEEDED, "this tenant is limited to 4 requests per second", 0.25)


async def test_without_rates_nothing_is_counted(allowances: Allowances) -> None:
    assert {await told(allowances, CALLER) for _ in range(100)} == {None}
    assert {await told(allowances, replace(CALLER, max_requests_per_s=1e9)) for _ in range(100)} == {None}


async def test_pictures_of_a_day_are_counted_up_to_the_limit_of_their_tenant(
    registry: TenantRegistry, allowances: Allowances, clock: ManualClock
) -> None:
    clock.now = 20_000 * 86_400 + 86_399.5
    uid, free = registry.create_tenant("acme").uid, registry.create_tenant("free").uid
    registry.limits.set(uid, Limits(pictures_per_day=2))
    for _ in range(2):
        await allowances.picture(uid)
    with pytest.raises(ServiceError, match="the quota of 2 pictures per day is used up") as caught:
        await allowances.picture(uid)
    assert (caught.value.reason, caught.value.retry_delay_s) == (Reason.QUOTA_EXCEEDED, 0.5)
    assert await allowances.pictures_today(uid) == 2
    for _ in range(5):
        await allowances.picture(free)
    assert await allowances.pictures_today(free) == 0
    clock.now += 0.5
    assert await allowances.pictures_today(uid) == 0
    await allowances.picture(uid)
    assert await allowances.pictures_today(uid) == 1


def test_every_limit_of_a_tenant_is_stored_as_itself_and_is_its_own_alone(registry: TenantRegistry) -> None:
    acme, other = registry.create_tenant("acme").uid, registry.create_tenant("other").uid
    assert registry.limits.of(acme) == Limits(0, 0, 0, 0, 0, 0.0)
    wanted = Limits(*range(1, len(fields(Limits)) + 1))
    registry.limits.set(acme, wanted)
    assert registry.limits.of(acme) == wanted
    assert wanted.quota == Quota(records=1, bytes=2, collections=3)
    assert registry.limits.of(other) == Limits()
    registry.delete_tenant("acme")
    assert registry.limits.of(acme) == Limits()
    assert registry.limits.of("nobody") == Limits()


def test_the_interval_of_the_read_audit_is_a_whole_day_at_most(registry: TenantRegistry) -> None:
    first, second = registry.create_tenant("first"), registry.create_tenant("second")
    audit = registry.read_audit
    assert (audit.every_minutes(first.uid), audit.every_minutes("no such tenant")) == (0, 0)
    for minutes in (1440, 1, 60, 0):
        audit.set(first.uid, minutes)
        assert (audit.every_minutes(first.uid), audit.every_minutes(second.uid)) == (minutes, 0)
    audit.set(first.uid, 30)
    for minutes in (-1, 1441):
        with pytest.raises(ServiceError, match=f"must be 0, or 1 to 1440 minutes, not {minutes}") as refused:
            audit.set(first.uid, minutes)
        assert refused.value.field == "every_minutes"
    assert audit.every_minutes(first.uid) == 30
