"""The training databases of all tenants: damage to that of one stops none of the others."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from index import DataDirectory
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.training.model import OwnModel, State, Training, TrainingRequest
from service.training.store import TrainingStore
from service.training.stores import TrainingStores
from tests.support.data.files import flip_byte

PAGE_BYTES = 4096


def publish(store: TrainingStore) -> None:
    store.create_set("set", "")
    begun = store.create_training(TrainingRequest("set", "builtin", "own-1"))
    ended = Training(begun.training_id, begun.request, State.PUBLISHED, 1, 1, "", 1, 2)
    assert store.publish(OwnModel("own-1", "builtin", "set", "{}", {}, "object", 1), ended)


def test_whatever_page_of_one_is_damaged_the_others_are_reached(tmp_path: Path) -> None:
    """A server did not start, for anybody, while a page of one tenant's models was damaged."""
    data = DataDirectory(tmp_path)
    with closing(TenantRegistry(data.registry, MasterKey(bytes(32)))) as registry:
        uids = [registry.create_tenant(name).uid for name in ("acme", "bolt")]
        with closing(TrainingStores(data, registry)) as stores:
            for uid in uids:
                publish(stores.of(uid))
        path = data.tenant(uids[0]).training
        whole, opened, read = path.read_bytes(), 0, 0
        for page in range(len(whole) // PAGE_BYTES):
            flip_byte(path, page * PAGE_BYTES + PAGE_BYTES // 2)
            reached: dict[str, list[str] | None] = {}

            def look(uid: str, store: TrainingStore, reached: dict[str, list[str] | None] = reached) -> None:
                reached[uid] = None
                reached[uid] = [m.encoder_id for m in store.models()]

            with closing(TrainingStores(data, registry)) as stores:
                stores.each(look)
            assert reached.pop(uids[1]) == ["own-1"]
            opened, read = opened + len(reached), read + (reached.get(uids[0]) is not None)
            path.write_bytes(whole)
            for beside in (path.with_name("training.db-wal"), path.with_name("training.db-shm")):
                beside.unlink(missing_ok=True)
        assert 0 < read < opened < len(whole) // PAGE_BYTES
