"""`afterimage keys`: works on a data directory, whether or not a server runs on it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.cli.operations.data_directory import DataDirOption, KeyFileOption, at, opened_registry
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table
from service.config import load_settings
from service.runtime.clock import now_ms
from service.tenancy.apikeys import Scope, key_id_of

_UNITS = {"m": 60, "h": 3600, "d": 86_400}

keys = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke API keys.")
ScopesOption = Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(Scope)}.")]
ExpiresOption = Annotated[str, typer.Option(help="For example 90d, 12h or 30m. Empty: never.")]
RequestsOption = Annotated[
    float, typer.Option("--requests-per-second", min=0, help="Also the burst. 0: only the tenant's limit.")
]
KeyArgument = Annotated[str, typer.Argument(help="Key id, or the complete key.")]


@keys.command("create")
def create_key(
    tenant: str,
    scopes: ScopesOption = "search,insert,delete",
    expires_in: ExpiresOption = "",
    requests: RequestsOption = 0.0,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Create an API key. It is shown once.

    Example: afterimage keys create acme --scopes search,insert --expires-in 90d --data-dir data
    """
    from service.tenancy.stored_keys import NewKey

    wanted = NewKey(to_scopes(scopes), _after(expires_in) if expires_in else None, requests)
    with opened_registry(data_dir, master_key_file) as (registry, log):
        uid = registry.tenant(tenant).uid
        with log.act(uid, "key.create", {"scopes": ",".join(sorted(wanted.scopes))}) as details:
            key = registry.api_keys.create(uid, wanted)
            details["key"] = key_id_of(key)
    print_json({"api_key": key, "expires_ms": wanted.expires_ms}) if json else print(key)


@keys.command("bind")
def bind_key(
    tenant: str,
    identity: Annotated[str, typer.Argument(help="Name in client certificates, such as spiffe://shop/search.")],
    scopes: ScopesOption = "search,insert,delete",
    expires_in: ExpiresOption = "",
    requests: RequestsOption = 0.0,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Bind a name in client certificates to a tenant, so that no API key is needed. The server needs `client_ca`. The
    command prints the id of the corresponding key, which can be revoked.

    Example: afterimage keys bind acme spiffe://shop/search --scopes search
    """
    from service.tenancy.stored_keys import NewKey

    wanted = NewKey(to_scopes(scopes), _after(expires_in) if expires_in else None, requests)
    with opened_registry(data_dir, master_key_file) as (registry, log):
        uid = registry.tenant(tenant).uid
        with log.act(uid, "key.bind", {"scopes": ",".join(sorted(wanted.scopes))}) as details:
            details["key"] = key_id = registry.api_keys.bind(uid, identity, wanted)
    if json:
        print_json({"key_id": key_id, "identity": identity, "expires_ms": wanted.expires_ms})
    else:
        print(f"Bound {identity} to {tenant} (key {key_id}).")


@keys.command("list")
def list_keys(
    tenant: str, data_dir: DataDirOption = None, master_key_file: KeyFileOption = None, json: JsonFlag = False
) -> None:
    """List a tenant's keys, without their secrets. Example: afterimage keys list acme --data-dir data"""
    with opened_registry(data_dir, master_key_file) as (registry, _):
        found = registry.api_keys.of(registry.tenant(tenant).uid)
    if json:
        print_json({"keys": [{**asdict(k), "state": k.state} for k in found]})
        return
    rows = [
        (
            k.key_id, ",".join(sorted(k.scopes)), k.state, at(k.created_ms), at(k.used_ms) if k.used_ms else "never",
            at(k.expires_ms) if k.expires_ms else "never", k.identity,
        )
        for k in found
    ]  # fmt: skip
    print_table(["key id", "scopes", "state", "created", "last used", "expires", "certificate"], rows)


@keys.command("rotate")
def rotate_key(
    tenant: str,
    key_id: KeyArgument,
    grace: Annotated[str, typer.Option(help="How long the old key stays valid, such as 7d or 12h.")] = "7d",
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Create a key with the same rights. The old one stays valid for the grace period.

    Example: afterimage keys rotate acme a1b2c3d4e5f6 --grace 24h
    """
    with opened_registry(data_dir, master_key_file) as (registry, log):
        uid, until_ms = registry.tenant(tenant).uid, _after(grace)
        with log.act(uid, "key.rotate", {"key": key_id_of(key_id)}) as details:
            key = registry.api_keys.rotate(uid, key_id_of(key_id), until_ms)
            details["new_key"] = key_id_of(key)
    print_json({"api_key": key, "old_key_expires_ms": until_ms}) if json else print(key)


@keys.command("revoke")
def revoke_key(
    tenant: str,
    key_id: KeyArgument,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Revoke a key immediately. Example: afterimage keys revoke acme a1b2c3d4e5f6 --data-dir data"""
    wanted = key_id_of(key_id)
    with opened_registry(data_dir, master_key_file) as (registry, log):
        uid = registry.tenant(tenant).uid
        with log.act(uid, "key.revoke", {"key": wanted}):
            registry.api_keys.revoke(uid, wanted)
    print_json({"key_id": wanted, "revoked": True}) if json else print(f"Revoked key {wanted}.")


@keys.command("rewrap")
def rewrap_keys(
    new_key_file: Annotated[
        Path | None, typer.Option(help="File of the new master key, if the current one does not come from a file.")
    ] = None,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Change the master key of a data directory, while no server runs on it. Tenants' data is not changed.

    Without --new-key-file a random key replaces the one in the file. Earlier copies of the registry still open with the
    old key; destroy the old key once you no longer need them. Example: afterimage keys rewrap
    """
    from index import DataDirectory, DirectoryLock
    from service.composition.data_directory import master_key_of, open_registry
    from service.tenancy.masterkey import load_master_key
    from service.tenancy.rewrap import rewrap, rewrap_with_file

    settings = load_settings({"data_dir": data_dir, "master_key_file": master_key_file}).settings
    data, elsewhere = DataDirectory(settings.data_dir), bool(settings.master_key or settings.master_key_command)
    if elsewhere and new_key_file is None:
        message = "the master key does not come from a file: pass the new one with --new-key-file"
        raise CommandError(message, code=Exit.USAGE)
    if not data.registry.exists():
        raise CommandError(f"{data.root} is not a data directory", reason="SETTING_INVALID")
    if settings.store_url is not None:
        message = "the tenants are in PostgreSQL: run `afterimage store copy --to directory` first, and then copy back"
        raise CommandError(message, reason="SETTING_INVALID")
    with DirectoryLock(data.lock):
        open_registry(settings).close()  # brought to the newest format; a change that was cut off is finished
        old = master_key_of(settings)
        if new_key_file is not None:
            count = rewrap(data.registry, old, load_master_key(new_key_file, None, create=False))
        else:
            count = rewrap_with_file(data.registry, settings.key_file, old)
    if json:
        print_json({"keys": count, "master_key_file": str(new_key_file or settings.key_file)})
    else:
        print(f"Wrapped {count} keys with the new master key in {new_key_file or settings.key_file}.")


def _after(duration: str) -> int:
    """The time after this duration, in milliseconds since 1970."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", duration)
    if found is None:
        raise CommandError(f"{duration!r} is not a duration such as 90d, 12h or 30m", code=Exit.USAGE)
    return now_ms() + int(found[1]) * _UNITS[found[2]] * 1000


def to_scopes(text: str) -> frozenset[Scope]:
    """Comma-separated scopes. Raises CommandError."""
    try:
        return frozenset(Scope(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise CommandError(f"--scopes: {error}; valid scopes are {', '.join(Scope)}", code=Exit.USAGE) from None
