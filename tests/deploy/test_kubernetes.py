"""The manifests for Kubernetes: valid, restricted, consistent, and of settings that the server knows."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.config import load_settings
from service.settings.model import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.33", "1.37")
FILES = sorted(p.name for p in FOLDER.glob("*.yaml") if p.name != "kustomization.yaml")


def objects() -> Iterator[dict[str, Any]]:
    for name in FILES:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


def one(kind: str, name: str) -> dict[str, Any]:
    return next(o for o in objects() if (o["kind"], o["metadata"]["name"]) == (kind, name))


def pods() -> dict[str, dict[str, Any]]:
    """The pod templates by name."""
    return {o["metadata"]["name"]: o["spec"]["template"] for o in objects() if "template" in o.get("spec", {})}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_manifest_is_valid_without_unknown_fields(version: str) -> None:
    for found in objects():
        kubernetes_validate.validate(found, version, strict=True)


def test_a_wrong_field_is_noticed() -> None:
    server = one("StatefulSet", "afterimage")
    server["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(server, VERSIONS[-1], strict=True)


def test_the_kustomization_lists_every_file() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == FILES


def test_every_pod_fulfils_the_restricted_standard() -> None:
    for name, pod in pods().items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name  # a Service `afterimage` would set AFTERIMAGE_… variables
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_selectors_and_ports_lead_to_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    for found in objects():
        spec = found.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        wanted = selector.get("matchLabels", selector if found["kind"] == "Service" else {})
        assert not wanted or any(wanted.items() <= each.items() for each in labels), found["metadata"]["name"]
        if found["kind"] == "Service":
            (pod,) = [p for p in pods().values() if wanted.items() <= p["metadata"]["labels"].items()]
            named = {port["name"] for c in pod["spec"]["containers"] for port in c["ports"]}
            assert {port["targetPort"] for port in spec["ports"]} <= named


def test_one_server_has_the_data_and_stops_as_long_as_it_needs() -> None:
    server = one("StatefulSet", "afterimage")["spec"]
    assert server["replicas"] == 1
    assert server["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    settings = Settings()
    grace_s = server["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s > settings.drain_timeout_s + 2 * settings.snapshot_timeout_s


def test_the_environment_of_server_and_worker_is_accepted_as_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With values in the place of secrets, and files in that of mounts."""
    secrets = {
        "master-key": "A" * 43 + "=", "redis-url": "redis://:p@afterimage-redis:6379/0", "worker-secret": "w" * 40,
        "object-store": "s3://bucket", "object-store-endpoint": "https://s3.example", "object-store-region": "eu",
        "object-store-access-key": "a", "object-store-secret-key": "s",
    }  # fmt: skip
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).touch()
    for pod in ("afterimage", "afterimage-worker"):
        with monkeypatch.context() as patched:
            for variable in pods()[pod]["spec"]["containers"][0]["env"]:
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                assert reference is None or reference["name"] == "afterimage"
                value = secrets[reference["key"]] if reference else variable["value"]
                patched.setenv(variable["name"], value.replace("/etc/afterimage/tls", str(tmp_path)))
            loaded = load_settings({})
            assert loaded.warnings == ()
            assert loaded.settings.strict_forgetting
            assert loaded.settings.worker_secret is not None


def test_the_image_is_that_of_this_version_everywhere() -> None:
    version = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert kustomization["images"] == [{"name": "afterimage", "newTag": version}]
    compose = yaml.safe_load((FOLDER.parent / "compose.yaml").read_text())["services"]
    assert {compose[name]["image"] for name in ("server", "worker")} == {f"afterimage:{version}"}
