"""A tenant's own model: trained on its pictures, published only if better than its base, visible to nobody else."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterimage.client import (
    AfterimageError,
    AlreadyExists,
    Client,
    FailedPrecondition,
    InvalidArgument,
    NewExample,
    NewRecord,
    NotFound,
    PermissionDenied,
    Training,
)
from index import DataDirectory
from service.tenancy.apikeys import Scope
from service.tenancy.limits import Limits
from tests.support.data.files import all_bytes
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.shared import clothing, own_encoder

PER_LABEL = 25


def photographs(per_label: int = PER_LABEL, *, shuffled: bool = False, skipped: int = 0) -> Iterator[NewExample]:
    """Real photographs with their labels, or with random labels."""
    by_label: dict[str, list[Path]] = {}
    for path, label in clothing():
        by_label.setdefault(label, []).append(path)
    chosen = [(p, label) for label, paths in by_label.items() for p in paths[skipped : skipped + per_label]]
    labels = [label for _, label in chosen]
    if shuffled:
        random.Random(7).shuffle(labels)
    for (path, _), label in zip(chosen, labels, strict=True):
        yield NewExample(path.stem, label, image=path.read_bytes())


def filled(client: Client, name: str, examples: Iterator[NewExample]) -> None:
    client.create_training_set(name)
    assert {r.outcome for r in client.add_examples(name, examples)} == {"added"}


def ended(client: Client, training_id: str) -> Training:
    *_, last = client.watch_training(training_id)
    return last


def test_a_model_that_is_better_on_pictures_held_out_is_published_and_serves_its_owner_alone(
    server: Server, client: Client, tenant_name: str
) -> None:
    filled(client, "clothing", photographs())
    begun = client.train_model("clothing", "clothes")
    assert begun.state == "queued"
    last = ended(client, begun.training_id)
    assert (last.state, last.done, last.total) == ("published", 10 * PER_LABEL, 10 * PER_LABEL)
    assert last.card["after"]["mAP@10"] > last.card["before"]["mAP@10"] + 0.05
    assert last.card["gain_at_least"] > 0
    (model,) = client.list_models()
    assert (model.encoder_id, model.base_encoder_id, model.dimension) == ("own-clothes", "builtin", 384)
    with server.registry() as registry:
        uid = registry.tenant(tenant_name).uid
    assert model.license == f"of tenant {uid}"

    client.create_collection("own", encoder_id="own-clothes")
    client.create_collection("base")
    later = list(photographs(7, skipped=PER_LABEL))
    for name in ("own", "base"):
        records = [NewRecord(e.example_id, image=e.image, attributes={"label": e.label}) for e in later]
        assert all(r.error is None for r in client.import_records(name, records))
    assert precision(client, "own", later) > precision(client, "base", later) + 0.05

    with server.client(server.key(f"{tenant_name}-other")) as other:
        assert other.list_models() == []
        assert "own-clothes" not in {e.id for e in other.server_info().encoders}
        for refused in (
            lambda: other.create_collection("c", encoder_id="own-clothes"),
            lambda: other.encode([png(1)], encoder_id="own-clothes"),
            lambda: other.rank(png(1), [png(2)], encoder_id="own-clothes"),
            lambda: other.create_training_set("s") and other.train_model("s", "x", base_encoder_id="own-clothes"),
        ):
            with pytest.raises(InvalidArgument, match="no encoder 'own-clothes'"):
                refused()
        with pytest.raises(NotFound):
            other.delete_model("own-clothes", force=True)
        with pytest.raises(NotFound):
            other.get_training(begun.training_id)

    assert client.delete_model("own-clothes").collections == ("own",)
    assert client.delete_model("own-clothes", force=True).deleted
    assert client.list_models() == []
    assert not list((server.data_dir / "objects" / uid / "models").glob("*"))
    with pytest.raises(FailedPrecondition) as caught:
        client.search("own", later[0].image or b"", k=1)
    assert caught.value.reason == "ENCODER_MISSING"
    with pytest.raises(InvalidArgument, match="no encoder"):
        client.create_collection("again", encoder_id="own-clothes")


def precision(client: Client, collection: str, examples: list[NewExample]) -> float:
    """The share of the five nearest others with the same label."""
    right = 0
    for example in examples[::5]:
        hits = client.search(collection, example.image or b"", k=5, exclude_record_ids=[example.example_id]).hits
        right += sum(h.attributes["label"] == example.label for h in hits)
    return right / (5 * len(examples[::5]))


def nothing_is_published(client: Client, base: str, per_label: int) -> None:
    filled(client, "shuffled", photographs(per_label, shuffled=True))
    last = ended(client, client.train_model("shuffled", "m", base_encoder_id=base).training_id)
    assert (last.state, client.list_models()) == ("refused", [])
    assert "not significantly better" in last.message
    assert last.card["base_encoder"] == base


def test_labels_that_mean_nothing_publish_nothing(client: Client) -> None:
    nothing_is_published(client, "builtin", 12)


@pytest.mark.long
@pytest.mark.parametrize("base", ["builtin", "mobilenet-v2"])
def test_labels_that_mean_nothing_publish_nothing_with_any_encoder(tmp_path: Path, base: str) -> None:
    server = start_server(tmp_path, "--encoders-dir", str(own_encoder(tmp_path / "encoders")))
    with server.client(server.key("acme")) as client:
        nothing_is_published(client, base, 40)


@pytest.mark.long
def test_the_real_encoder_is_improved_on_and_its_model_survives_a_restart(tmp_path: Path) -> None:
    encoders = str(own_encoder(tmp_path / "encoders"))
    server = start_server(tmp_path, "--encoders-dir", encoders)
    key = server.key("acme")
    with server.client(key) as client:
        filled(client, "clothing", photographs(25))
        last = ended(client, client.train_model("clothing", "m", base_encoder_id="mobilenet-v2").training_id)
        assert (last.state, last.card["base_encoder"]) == ("published", "mobilenet-v2")
        client.create_collection("c", encoder_id="own-m")
        (example, *_) = photographs(1)
        client.insert("c", [NewRecord("1", image=example.image)])
        (before,) = client.encode([example.image or b""], encoder_id="own-m")
    assert server.stop() == 0
    server = start_server(tmp_path, "--encoders-dir", encoders)
    with server.client(key) as client:
        (after,) = client.encode([example.image or b""], encoder_id="own-m")
        assert after.vector == before.vector
        assert client.search("c", example.image or b"", k=1).hits[0].distance < 1e-3


def test_a_training_is_taken_up_again_after_a_crash_and_can_be_cancelled(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    key = server.key("acme")
    with server.client(key) as client:
        filled(client, "clothing", photographs(16))
        begun = client.train_model("clothing", "m")
        with pytest.raises(FailedPrecondition, match="has not ended"):
            client.train_model("clothing", "m")
        waiting = client.train_model("clothing", "other")
        assert client.cancel_training(waiting.training_id).state == "cancelled"
        server.kill()
    server = start_server(tmp_path)
    with server.client(key) as client:
        assert ended(client, begun.training_id).state == "published"
        assert client.get_training(waiting.training_id).state == "cancelled"
        with pytest.raises(AlreadyExists):
            client.train_model("clothing", "m")
        running = client.train_model("clothing", "third")
        assert client.cancel_training(running.training_id).state == "cancelled"
        with pytest.raises(FailedPrecondition, match="already cancelled"):
            client.cancel_training(running.training_id)
        assert [m.encoder_id for m in client.list_models()] == ["own-m"]
    assert server.stop() == 0


def test_examples_are_checked_one_by_one_and_handed_out_as_links(server: Server, client: Client) -> None:
    client.create_training_set("set", description="of a test")
    given = [
        NewExample("1", "a", image=png(1)), NewExample("2", "a", image=b"not a picture"),
        NewExample("3", "", image=png(3)),
        NewExample("4", "a", image=png(1)), NewExample("1", "a", image=png(1)), NewExample("5", "b", image=png(5)),
    ]  # fmt: skip
    results = [r for e in given for r in client.add_examples("set", [e])]
    assert [r.outcome for r in results] == ["added", "failed", "failed", "failed", "unchanged", "added"]
    reasons = [r.error.reason for r in results if r.error]
    assert reasons == ["IMAGE_FORMAT_UNSUPPORTED", "ARGUMENT_INVALID", "ARGUMENT_INVALID"]
    found = client.get_training_set("set")
    assert (found.example_count, found.labels) == (2, {"a": 1, "b": 1})
    with urllib.request.urlopen(client.example_link("set", "5", minutes=1).url) as answer:
        assert answer.read() == png(5)
    link = client.example_link("set", "5").url
    assert client.delete_examples("set", ["5", "none"]) == 1
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(link)
    with pytest.raises(InvalidArgument, match="1 to 60"):
        client.example_link("set", "1", minutes=61)
    too_few = ended(client, client.train_model("set", "m").training_id)
    assert (too_few.state, "needed" in too_few.message) == ("refused", True)
    assert client.list_examples_page("set")[0][0].example_id == "1"


def test_a_deleted_set_leaves_nothing_and_pictures_lie_sealed(server: Server, client: Client, tenant_name: str) -> None:
    client.create_training_set("gone")
    list(
        client.add_examples("gone", [NewExample(f"example-of-{n}", "label-of-a-test", image=png(n)) for n in range(3)])
    )
    with server.registry() as registry:
        layout = DataDirectory(server.data_dir).tenant(registry.tenant(tenant_name).uid)
    objects = server.data_dir / "objects" / layout.root.name
    assert len([p for p in objects.rglob("*") if p.is_file()]) == 3
    assert png(1)[40:80] not in all_bytes(server.data_dir)
    assert b"label-of-a-test" not in all_bytes(server.data_dir)
    assert not client.delete_training_set("gone").deleted
    done = client.delete_training_set("gone", force=True)
    assert (done.example_count, done.receipt is not None and done.receipt.what) == (3, "training set")
    assert not [p for p in objects.rglob("*") if p.is_file()]
    with pytest.raises(NotFound):
        client.get_training_set("gone")


def test_examples_count_towards_the_quota(server: Server, client: Client, tenant_name: str) -> None:
    with server.registry() as registry:
        registry.limits.set(registry.tenant(tenant_name).uid, Limits(bytes=len(png(1)) + 10))
    client.create_training_set("set")
    results = [r for n in (1, 2) for r in client.add_examples("set", [NewExample(str(n), "a", image=png(n))])]
    assert [(r.outcome, r.error and r.error.reason) for r in results] == [
        ("added", None), ("failed", "QUOTA_EXCEEDED"),
    ]  # fmt: skip
    assert client.usage().stored_bytes == len(png(1))
    client.delete_examples("set", ["1"])
    assert client.usage().stored_bytes == 0


def test_training_needs_its_scope(server: Server, tenant_name: str) -> None:
    with server.client(server.key(tenant_name, [s for s in Scope if s is not Scope.TRAIN])) as client:
        with pytest.raises(PermissionDenied):
            client.create_training_set("s")
        with pytest.raises(AfterimageError):
            list(client.add_examples("s", [NewExample("1", "a", image=png(1))]))
