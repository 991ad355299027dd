"""`afterimage tenants`: works on a data directory, whether or not a server runs on it."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.operations.data_directory import DataDirOption, KeyFileOption, at, opened_registry
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table
from service.config import load_settings

if TYPE_CHECKING:
    from service.audit.chain import Details
    from service.tenancy.registry import TenantRegistry

tenants = typer.Typer(no_args_is_help=True, help="Create, list, limit and delete tenants.")


@tenants.command("create")
def create_tenant(
    name: str,
    region: Annotated[str | None, typer.Option(help="Region of the tenant. Default: that of the server.")] = None,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Create a tenant. Servers of another region reject it. Example: afterimage tenants create acme --region eu-1"""
    from service.composition.data_directory import region_of

    settings = load_settings({"data_dir": data_dir, "region": region}).settings
    bound_to = region_of(settings) if region is None else region
    with opened_registry(data_dir, master_key_file, create=True) as (registry, log):
        tenant = log.create(registry, name, bound_to)
    if json:
        print_json({"name": tenant.name, "uid": tenant.uid, "region": tenant.region})
    else:
        print(f"Created tenant {tenant.name}. Next: afterimage keys create {tenant.name} --scopes search,insert,delete")


@tenants.command("list")
def list_tenants(data_dir: DataDirOption = None, master_key_file: KeyFileOption = None, json: JsonFlag = False) -> None:
    """List the tenants. Example: afterimage tenants list --data-dir data --json"""
    with opened_registry(data_dir, master_key_file) as (registry, _):
        found = registry.tenants()
    if json:
        print_json({"tenants": [asdict(t) for t in found]})
    else:
        rows = [(t.name, t.uid, at(t.created_ms), t.region or "any") for t in found]
        print_table(["name", "uid", "created", "region"], rows)


@tenants.command("fetch-hosts")
def fetch_hosts(
    name: str,
    hosts: Annotated[
        list[str] | None, typer.Argument(help="shop.example, or *.shop.example for all subdomains.")
    ] = None,
    any_host: Annotated[bool, typer.Option("--any", help="Allow any public host again.")] = False,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Set or show the hosts that pictures of a tenant may be fetched from.

    Example: afterimage tenants fetch-hosts acme cdn.acme.example "*.acme.example"
    """
    from service.intake.download.urls import check_host_pattern

    if hosts and any_host:
        raise CommandError("pass either hosts or --any", code=Exit.USAGE)
    try:
        wanted = [check_host_pattern(h) for h in hosts or []]
    except ValueError as error:
        raise CommandError(str(error), code=Exit.USAGE) from None
    with opened_registry(data_dir, master_key_file) as (registry, log):
        if wanted or any_host:
            details: Details = {"hosts": len(wanted), "any": any_host}
            with log.act(registry.tenant(name).uid, "tenant.fetch_hosts", details):
                registry.set_fetch_hosts(name, None if any_host else wanted)
        found = registry.fetch_hosts(registry.tenant(name).uid)
    shown = None if found is None else sorted(found)
    if json:
        print_json({"name": name, "fetch_hosts": shown})
    else:
        print(f"Pictures of {name} are fetched from " + ("any public host" if shown is None else ", ".join(shown)))


@tenants.command("limits")
def limits(
    name: str,
    records: Annotated[int | None, typer.Option(min=0, help="Maximum number of records over all collections.")] = None,
    size: Annotated[
        int | None, typer.Option("--bytes", min=0, help="Maximum size of vectors, ids and attributes, bytes.")
    ] = None,
    collections: Annotated[int | None, typer.Option(min=0, help="Collections.")] = None,
    pictures: Annotated[
        int | None, typer.Option("--pictures-per-day", min=0, help="Maximum number of encoded pictures per day (UTC).")
    ] = None,
    runs: Annotated[int | None, typer.Option(min=0, help="Maximum number of concurrent catalogue syncs.")] = None,
    requests: Annotated[
        float | None,
        typer.Option("--requests-per-second", min=0, help="Maximum rate of calls over all keys; also the burst."),
    ] = None,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Set or show the limits of a tenant. 0 removes a limit; omitted limits are unchanged.

    They apply from the next call on; rates and pictures over all servers that share a Redis. Example: afterimage
    tenants limits acme --records 100000 --pictures-per-day 5000
    """
    given: dict[str, Any] = {
        "records": records, "bytes": size, "collections": collections, "pictures_per_day": pictures, "runs": runs,
        "requests_per_s": requests,
    }  # fmt: skip
    with opened_registry(data_dir, master_key_file) as (registry, log):
        uid = registry.tenant(name).uid
        wanted = replace(registry.limits.of(uid), **{n: v for n, v in given.items() if v is not None})
        if wanted != registry.limits.of(uid):
            with log.act(uid, "tenant.limits", {n: str(v) for n, v in asdict(wanted).items()}):
                registry.limits.set(uid, wanted)
    if json:
        print_json({"name": name, **asdict(wanted)})
    else:
        print_table(
            ["limit", "value"], [(n.replace("_", " "), f"{v:,}" if v else "none") for n, v in asdict(wanted).items()]
        )


@tenants.command("export-key")
def export_key(
    name: str,
    file: Annotated[Path, typer.Argument(help="Output file.")],
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Export a tenant's wrapped key, so that another machine can adopt its snapshots.

    Anyone with this file and the master key can read every copy of the tenant's data, even after the tenant is deleted
    here. Delete the file after use. Example: afterimage tenants export-key acme acme.key
    """
    from service.tenancy.masterkey import exported_key

    with opened_registry(data_dir, master_key_file) as (registry, log):
        tenant = registry.tenant(name)
        content = exported_key(tenant.uid, registry.wrapped_key(tenant.uid), tenant.region)
        log.add(tenant.uid, "tenant.export_key", {})  # before it is handed out
    file.touch(0o600)
    file.write_text(content)
    print_json({"name": name, "file": str(file)}) if json else print(f"Exported the wrapped key of {name} to {file}.")


@tenants.command("delete")
def delete_tenant(
    name: str,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    force: Annotated[bool, typer.Option("--force", help="Do not ask for confirmation.")] = False,
    receipt: Annotated[Path | None, typer.Option(help="Output file for a signed receipt.")] = None,
    json: JsonFlag = False,
) -> None:
    """Permanently destroy a tenant's key and files. In a terminal it asks for the name first.

    All copies and backups become unreadable. Example: afterimage tenants delete acme --data-dir data --receipt
    acme.json
    """
    with opened_registry(data_dir, master_key_file) as (registry, _):
        tenant = registry.tenant(name)
        if sys.stdin.isatty() and not force:
            typed = typer.prompt(f"This destroys the key of tenant {name} and all its data. Type its name to continue")
            if typed != name:
                raise CommandError("nothing was deleted", code=Exit.USAGE)
        registry.delete_tenant(name)
        files_removed = _remove_files(data_dir, master_key_file, registry)
        certified = _certified(registry, tenant.uid)
    if receipt is not None:
        receipt.write_text(jsonlib.dumps(certified, indent=1) + "\n")
    if json:
        print_json(
            {"name": name, "uid": tenant.uid, "deleted": True, "files_removed": files_removed, "receipt": certified}
        )
    else:
        files = "its files were removed" if files_removed else "the running server removes its files within seconds"
        print(f"Destroyed the key of tenant {name}; {files}.")


def _certified(registry: TenantRegistry, uid: str) -> dict[str, object]:
    from service.audit.chain import Signer
    from service.audit.logs import SIGNING_KEY
    from service.erasure.receipts import Erased, certify
    from service.runtime.clock import now_ms

    return asdict(certify(Erased(uid, "tenant", "", 0, now_ms()), Signer(registry.secret(SIGNING_KEY))))


def _remove_files(data_dir: Path | None, master_key_file: Path | None, registry: TenantRegistry) -> bool:
    """Removes deleted tenants' files if no server runs. A running server does so itself."""
    from index import DataDirectory, DirectoryLock, DirectoryLocked
    from service.tenancy.spaces import TenantSpaces

    data = DataDirectory(load_settings({"data_dir": data_dir, "master_key_file": master_key_file}).settings.data_dir)
    lock = DirectoryLock(data.lock)
    try:
        lock.acquire()
    except DirectoryLocked:
        return False
    try:
        TenantSpaces(data, registry).remove_deleted()
    finally:
        lock.release()
    return True
