"""Real photographs through the whole service, with the built-in encoder and with a custom one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import Client, NewRecord, RetryPolicy
from service.encoder.contract import picture_vectors
from service.encoder.preprocess import to_tensor
from service.encoder.registry import EncoderRegistry
from service.intake.decode import decode
from service.intake.limits import PictureLimits
from tests.support.data.encoders import ONE_CORE
from tests.support.servers.server import Server, start_server
from tests.support.shared import clothing, own_encoder

K = 10


def offline_vectors(registry: EncoderRegistry, encoder_id: str, paths: list[Path]) -> np.ndarray:
    session = registry.session(registry.manifest(encoder_id))
    tensors = [to_tensor(decode(p.read_bytes(), PictureLimits()), session.manifest.input) for p in paths]
    return np.concatenate([picture_vectors(session, tensors[i : i + 16]) for i in range(0, len(tensors), 16)])


def retrieval(neighbours: list[list[int]], labels: list[str]) -> tuple[float, float]:
    """R@1 and mAP@10 by class, each picture against all others."""
    firsts, precisions = [], []
    for query, found in enumerate(neighbours):
        right = np.array([labels[n] == labels[query] for n in found], float)
        firsts.append(right[0])
        relevant = min(K, labels.count(labels[query]) - 1)
        precisions.append(float(((right.cumsum() / np.arange(1, len(right) + 1)) * right).sum()) / relevant)
    return float(np.mean(firsts)), float(np.mean(precisions))


def through_the_service(client: Client, collection: str, paths: list[Path]) -> list[list[int]]:
    """Inserts all pictures, searches with each, and returns the neighbours of each without itself."""
    numbers = {p.stem: n for n, p in enumerate(paths)}
    results = list(client.import_records(collection, (NewRecord(p.stem, image=p.read_bytes()) for p in paths)))
    assert all(r.outcome == "created" for r in results)

    def neighbours(path: Path) -> list[int]:
        hits = client.search(collection, path.read_bytes(), k=K + 1).hits
        assert hits[0].record_id == path.stem or hits[0].distance == hits[1].distance
        assert hits[0].distance < 1e-3
        return [numbers[h.record_id] for h in hits if h.record_id != path.stem][:K]

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(neighbours, paths))


def offline_neighbours(vectors: np.ndarray) -> list[list[int]]:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -9)
    return np.argsort(-scores, axis=1)[:, :K].tolist()


# Every 16th photograph, 108 in all: R@1 and mAP@10 are .519 and .203 with version 2, .472 and .241 with version 3. R@1
# has a standard error of .048 there, so that the two do not differ; its floor is one below version 3. mAP@10 varies
# less: its floor is above version 2. Of all 1,725 version 2 has .716 and .512, version 3 .748 and .518.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("every", "least", "least_map"), [(16, 0.42, 0.21), pytest.param(1, 0.72, 0.512, marks=pytest.mark.long)]
)
def test_each_photograph_is_found_first_and_quality_equals_an_offline_evaluation(
    server: Server, tenant_name: str, every: int, least: float, least_map: float
) -> None:
    # Beside busy processes a search can be refused for a moment: this client comes again.
    client = Client(server.target, server.key(tenant_name), retry=RetryPolicy(attempts=50))
    paths, labels = map(list, zip(*clothing()[::every], strict=True))
    client.create_collection("clothing")
    client.update_collection("clothing", learning="off")  # as the offline figure
    served = retrieval(through_the_service(client, "clothing", paths), labels)
    offline = retrieval(
        offline_neighbours(offline_vectors(EncoderRegistry(None, "builtin", ONE_CORE), "builtin", paths)), labels
    )
    assert served == pytest.approx(offline, abs=0.003)
    assert served[0] > least
    assert served[1] > least_map


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("every", "least"), [(24, 0.4), pytest.param(10, 0.45, marks=pytest.mark.long)])
def test_the_same_holds_for_an_encoder_of_ones_own(tmp_path: Path, every: int, least: float) -> None:
    encoders = own_encoder(tmp_path / "encoders")
    paths, labels = map(list, zip(*clothing()[::every], strict=True))
    server: Server = start_server(tmp_path / "s", "--encoders-dir", str(encoders))
    with server.client(server.key("acme")) as client:
        client.create_collection("clothing", encoder_id="mobilenet-v2")
        client.update_collection("clothing", learning="off")  # as the offline figure
        served = retrieval(through_the_service(client, "clothing", paths), labels)
    assert server.stop() == 0
    registry = EncoderRegistry(encoders, "mobilenet-v2", ONE_CORE)
    offline = retrieval(offline_neighbours(offline_vectors(registry, "mobilenet-v2", paths)), labels)
    assert served == pytest.approx(offline, abs=0.003)
    assert served[0] > least
