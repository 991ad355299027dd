"""`afterimage detectors`: works without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from service.cli.models import detector_add
from service.cli.models.detector_add import DirOption, registry_of
from service.cli.output import CommandError, Exit, JsonFlag, print_fields, print_json, print_table

if TYPE_CHECKING:
    from service.detector.manifest import DetectorManifest

detectors = typer.Typer(no_args_is_help=True, help="List, add and measure detectors of objects without a server.")
_COLUMNS = ("id", "version", "license", "shape", "labels", "used")


@detectors.command("list")
def list_(detectors_dir: DirOption = None, json: JsonFlag = False) -> None:
    """List the detectors. Example: afterimage detectors list --detectors-dir detectors"""
    settings, registry = registry_of(detectors_dir)
    found = [_facts(m, settings.detector) for m in registry.manifests()]
    if json:
        print_json({"detectors": found})
    else:
        print_table(list(_COLUMNS), [[f[c] for c in _COLUMNS] for f in found])


@detectors.command("show")
def show(detector_id: str, detectors_dir: DirOption = None, json: JsonFlag = False) -> None:
    """Show one detector's manifest. Example: afterimage detectors show builtin --json"""
    settings, registry = registry_of(detectors_dir)
    manifest = next((m for m in registry.manifests() if m.id == detector_id), None)
    if manifest is None:
        known = ", ".join(m.id for m in registry.manifests())
        raise CommandError(f"no detector {detector_id!r}; there are {known}", code=Exit.USAGE)
    facts = _facts(manifest, settings.detector)
    if json:
        print_json({**facts, "manifest": manifest.model_dump(mode="json")})
    else:
        print_fields({**facts, **manifest.model_dump(mode="json")})


def _facts(manifest: DetectorManifest, used: str) -> dict[str, Any]:
    return {
        "id": manifest.id, "version": manifest.version, "license": manifest.license, "shape": manifest.output.shape,
        "labels": len(manifest.labels), "used": manifest.id == used,
    }  # fmt: skip


detectors.command()(detector_add.add)
