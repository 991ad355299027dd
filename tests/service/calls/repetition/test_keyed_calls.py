"""A call with an idempotency key is made once, whatever ends the process between its steps."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterimage.v1 import collection_service_pb2 as pb
from index import DataDirectory
from service.audit import keys
from service.audit.acts import OpenAct
from service.audit.keys import Claim
from service.audit.log import AuditLog
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.method import Effect
from service.calls.methods import METHODS
from service.calls.recording import CallRecording
from service.calls.repetition.keyed_call import KeyedCall, takes_key
from service.calls.repetition.rebuilding import REBUILDS
from service.errors import Reason, ServiceError
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry

CREATE, GET = (METHODS[f"/afterimage.v1.CollectionService/{n}Collection"] for n in ("Create", "Get"))
STEPS = (
    "before the intent",
    "after the intent",
    "before the change",
    "after the change",
    "before the outcome",
    "after",
)


class Killed(BaseException):
    """The process ended here."""


class Shop:
    """A server's audit, over a catalogue that lives elsewhere. `dies`: the step at which the process ends."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.registry = TenantRegistry(folder / "registry.db", MasterKey(bytes(32)))
        self.uid = self.registry.create_tenant("acme").uid
        self.data, self.dies = DataDirectory(folder), ""
        self.caller = Principal(self.uid, "key", frozenset(Scope))
        self.made: dict[str, int] = {}  # the catalogue: names, and how often each was made
        self.handlers: dict[str, Any] = {CREATE.path: self.create, GET.path: self.get}
        begin, end = AuditLog.begin, AuditLog.end

        def dying_begin(log: AuditLog, *args: Any) -> OpenAct:
            self.pass_step("before the intent")
            act = begin(log, *args)
            self.pass_step("after the intent")
            return act

        def dying_end(log: AuditLog, *args: Any, **more: Any) -> bool:
            self.pass_step("before the outcome")
            done = end(log, *args, **more)
            self.pass_step("after")
            return done

        monkeypatch.setattr(AuditLog, "begin", dying_begin)
        monkeypatch.setattr(AuditLog, "end", dying_end)
        self.open()

    def open(self) -> None:
        """The next process."""
        self.logs, self.dies = AuditLogs(self.data, self.registry), ""
        recorder = Recorder(self.logs, lambda uid, act: str(act.details["collection"]) in self.made)
        self.recording = CallRecording(self.logs, recorder, Tallies(self.logs, recorder))

    def pass_step(self, step: str) -> None:
        if step == self.dies:
            raise Killed

    async def create(self, request: pb.CreateCollectionRequest, _: Principal) -> pb.CreateCollectionResponse:
        self.pass_step("before the change")
        name = request.collection.name
        if name.startswith("bad"):
            raise ServiceError(Reason.ARGUMENT_INVALID, "a bad name")
        self.made[name] = self.made.get(name, 0) + 1
        self.pass_step("after the change")
        return pb.CreateCollectionResponse(collection=pb.Collection(name=name, dimension=len(name)))

    async def get(self, request: pb.GetCollectionRequest, _: Principal) -> pb.GetCollectionResponse:
        return pb.GetCollectionResponse(collection=pb.Collection(name=request.name, dimension=len(request.name)))

    async def call(self, key: str, name: str) -> pb.CreateCollectionResponse:
        request = pb.CreateCollectionRequest(collection=pb.Collection(name=name))
        keyed = KeyedCall(key, CREATE, self.handlers) if key else None
        made = await self.recording.around(
            CREATE, request, self.caller, lambda: self.create(request, self.caller), keyed
        )
        assert isinstance(made, pb.CreateCollectionResponse)
        return made

    def rows(self) -> list[tuple[str, int]]:
        query = "SELECT state, length(answer) FROM idempotency_keys ORDER BY number"
        return self.logs.of(self.uid)._chain.rows(query)

    def close(self) -> None:
        self.logs.close()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    made = Shop(tmp_path, monkeypatch)
    yield made
    made.close()
    made.registry.close()


async def refused(shop: Shop, key: str, name: str) -> Reason:
    with pytest.raises(ServiceError) as error:
        await shop.call(key, name)
    return error.value.reason


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_that_ends_at_any_step_makes_the_call_once(shop: Shop, step: str) -> None:
    shop.dies = step
    with pytest.raises(Killed):
        await shop.call("k", "shoes")
    shop.close()
    shop.open()
    first = await shop.call("k", "shoes")
    assert (first.collection.name, first.collection.dimension, shop.made) == ("shoes", 5, {"shoes": 1})
    assert await shop.call("k", "shoes") == first
    assert shop.made == {"shoes": 1}
    assert await refused(shop, "k", "boots") is Reason.IDEMPOTENCY_KEY_REUSED
    assert shop.made == {"shoes": 1}


@pytest.mark.parametrize("seed", range(5))
async def test_each_key_makes_one_request_once_through_any_sequence_of_calls_and_crashes(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    first: dict[str, str] = {}  # the request that was made under a key: a plain model
    for _ in range(60):
        key = chance.choice("abcd")
        name = f"{chance.choice(['bad', 'x', 'y'])}-{key}"
        shop.dies = chance.choice([*STEPS, "", "", "", ""])
        wanted = "reused" if first.get(key, name) != name else "refused" if name.startswith("bad") else "made"
        came = await outcome_of(shop, key, name)
        if came == "killed":
            if name in shop.made:
                first[key] = name  # whether or not the caller saw it
            shop.close()
            shop.open()
            continue
        shop.dies = ""
        assert came == wanted
        if came == "made":
            first[key] = name
    assert first
    assert shop.made == dict.fromkeys(first.values(), 1)


async def outcome_of(shop: Shop, key: str, name: str) -> str:
    try:
        made = await shop.call(key, name)
    except Killed:
        return "killed"
    except ServiceError as error:
        return "reused" if error.reason is Reason.IDEMPOTENCY_KEY_REUSED else "refused"
    assert made.collection == pb.Collection(name=name, dimension=len(name))
    return "made"


async def test_a_repetition_beside_the_first_call_is_told_to_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    create = shop.create

    async def slow(request: Any, caller: Principal) -> pb.CreateCollectionResponse:
        reached.set()
        await go_on.wait()
        return await create(request, caller)

    monkeypatch.setattr(shop, "create", slow)
    first = asyncio.create_task(shop.call("k", "shoes"))
    await reached.wait()
    with pytest.raises(ServiceError) as wait:
        await shop.call("k", "shoes")
    assert (wait.value.reason, wait.value.retry_delay_s) == (Reason.IDEMPOTENCY_KEY_IN_USE, 1.0)
    assert await refused(shop, "k", "boots") is Reason.IDEMPOTENCY_KEY_REUSED
    go_on.set()
    assert await shop.call("k2", "boots") is not None
    assert await first == await shop.call("k", "shoes")
    assert shop.made == {"shoes": 1, "boots": 1}


async def test_a_call_that_changed_nothing_gives_its_key_back(shop: Shop) -> None:
    assert await refused(shop, "k", "bad") is Reason.ARGUMENT_INVALID
    assert shop.rows() == []
    assert (await shop.call("k", "good")).collection.name == "good"


async def test_of_a_call_whose_outcome_nobody_knows_a_repetition_makes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.dies = "after the change"
    with contextlib.suppress(Killed):
        await shop.call("k", "shoes")
    shop.close()
    shop.open()
    monkeypatch.setattr(shop.recording._recorder, "_look", lambda uid, act: None)
    for _ in range(2):
        assert await refused(shop, "k", "shoes") is Reason.IDEMPOTENCY_OUTCOME_UNKNOWN
    assert shop.made == {"shoes": 1}


async def test_keys_are_forgotten_after_a_day_and_their_number_is_bounded(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, log = 1_800_000_000_000, shop.logs.of(shop.uid)
    for module in ("log", "chain_database"):
        monkeypatch.setattr(f"service.audit.{module}.now_ms", lambda: now)
    monkeypatch.setattr(keys, "MAX_KEYS", 3)
    for n in range(3):
        await shop.call(f"k{n}", f"n{n}")
        now += 1000
    assert await refused(shop, "k3", "n3") is Reason.QUOTA_EXCEEDED
    assert "n3" not in shop.made
    now += keys.KEPT_MS - 2500
    assert log.prune_keys() == 1
    await shop.call("k0", "other")  # a day old: free again
    await shop.call("k2", "n2")  # not yet
    assert shop.made == {"n0": 1, "n1": 1, "n2": 1, "other": 1}


async def test_large_answers_are_read_again_and_nothing_is_kept_in_the_clear(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.call("order-secret", "shoes-secret")
    (kept,) = shop.logs.of(shop.uid)._chain.rows("SELECT key, request, answer FROM idempotency_keys")
    assert not any(b"secret" in bytes(part) for part in kept)
    monkeypatch.setattr(keys, "MAX_ANSWER_BYTES", 4)
    first = await shop.call("k", "large")
    assert shop.rows()[-1] == ("found", 0)
    assert await shop.call("k", "large") == first
    assert shop.made["large"] == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "a" * 256, '"', 'a"b', "a\n", '"a'])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ServiceError) as error:
        KeyedCall(key, CREATE, {})
    assert (error.value.reason, error.value.field) == (Reason.ARGUMENT_INVALID, "idempotency-key")


async def test_the_quotes_of_a_structured_header_are_not_part_of_the_key(shop: Shop) -> None:
    assert await shop.call('"k"', "shoes") == await shop.call("k", "shoes")


def test_every_call_that_creates_or_starts_something_takes_a_key() -> None:
    without = {m.name for m in METHODS.values() if m.row.effect is Effect.NOT_IDEMPOTENT and not takes_key(m)}
    # Workers hold a lease. Feedback only adds to sums, and has no entry in the audit log.
    assert without == {"WorkerService/WorkOnRun", "SearchService/AddFeedback"}
    verbs = ("Create", "Start", "Train", "Restore", "Retry")
    assert all(takes_key(m) for m in METHODS.values() if m.row.name.startswith(verbs))


def test_every_answer_can_be_read_again_where_the_data_shows_what_was_done() -> None:
    """An exchange, a restore over a collection or a tuning cannot be seen afterwards: they are not made again."""
    unseen = {m.name for m in METHODS.values() if takes_key(m)} - REBUILDS.keys()
    assert unseen == {
        "AdminService/ExchangeCollections",
        "AdminService/RestoreSnapshot",
        "CollectionService/TuneCollection",
        "SyncService/RotatePushSecret",  # the secret is shown once
    }


def test_digests_of_keys_differ_between_tenants() -> None:
    made = [keys.KeySeal(bytes([n]) * 32).claim("k", "m", b"r", lambda _: b"") for n in range(2)]
    assert not {c.key for c in made[:1]} & {c.key for c in made[1:]}
    assert isinstance(made[0], Claim)
