"""The outcome of an act that a kill left open, judged by the state."""

from pathlib import Path
from types import SimpleNamespace

from service.audit.recorder import OPERATOR
from service.outcomes import States
from service.sync.source_model import SourceConfig
from tests.support.data.data_directory import opened


def test_what_was_changed_a_moment_before_an_intent_was_not_changed_by_it(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as parts:
        uid = parts.registry.create_tenant("acme").uid
        engine = SimpleNamespace(spaces=parts.spaces)
        states = States(SimpleNamespace(engine=engine, ledgers=parts.ledgers, access=None))  # type: ignore[arg-type]
        ledger = parts.ledgers.of(uid)
        source = ledger.add_source(SourceConfig("spring", "shoes", "https://shop.example/feed"))
        act = parts.audit.of(uid).begin("key", "source.update", {"source": "spring"}, OPERATOR)
        assert states.look(uid, act) is (source.updated_ms == act.time_ms)  # within one millisecond nobody can tell
        ledger.change_source(source.source_id, SourceConfig("spring", "shoes", "https://shop.example/other"))
        assert states.look(uid, act) is True
