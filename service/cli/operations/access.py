"""`afterimage access`: the operator requests access on the data directory, and the tenant decides over the API."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from afterimage.client import AccessRequest, Client
from service.cli.connection import with_client, with_keyed_client
from service.cli.operations.data_directory import DataDirOption, KeyFileOption, at, opened_registry
from service.cli.operations.keys import to_scopes
from service.cli.output import JsonFlag, print_json, print_table

access = typer.Typer(no_args_is_help=True, help="Request, approve, decline and revoke access to a tenant's data.")


@access.command("request")
def request_access(
    tenant: str,
    reason: Annotated[str, typer.Option(help="Reason; shown to the tenant.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated scopes; admin is not allowed.")] = "search",
    minutes: Annotated[int, typer.Option(min=1, max=240, help="Duration in minutes, from the approval.")] = 60,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Request access, as the operator. Example: afterimage access request acme --reason "ticket 4711" --minutes 30"""
    from service.tenancy.access import WantedAccess

    wanted = WantedAccess(reason, to_scopes(scopes), minutes)
    with opened_registry(data_dir, master_key_file) as (registry, log):
        uid, names = registry.tenant(tenant).uid, ",".join(sorted(wanted.scopes))
        with log.act(uid, "access.request", {"scopes": names, "minutes": wanted.minutes}) as details:
            made = registry.access.ask(uid, wanted)
            details["request"] = made.request_id
    if json:
        print_json({"request_id": made.request_id, "state": made.state})
    else:
        print(f"Request {made.request_id} waits for approval by {tenant}: afterimage access approve {made.request_id}")


@access.command("token")
def fetch_token(
    tenant: str,
    request_id: str,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Get the key of an approved access. It is shown once.

    Example: afterimage access token acme 0f1e2d3c4b5a6978
    """
    with opened_registry(data_dir, master_key_file) as (registry, log):
        uid = registry.tenant(tenant).uid
        with log.act(uid, "access.token", {"request": request_id}):
            key = registry.access.token(uid, request_id)
    print_json({"api_key": key}) if json else print(key)


@access.command("list")
@with_client
def list_(client: Client, json: JsonFlag = False) -> None:
    """List access requests, as the tenant. The key needs the scope `admin`. Example: afterimage access list"""
    found = client.list_access_requests()
    if json:
        print_json({"requests": [asdict(r) for r in found]})
        return
    rows = [
        (r.request_id, r.state, ",".join(r.scopes), r.minutes, at(r.ends_ms) if r.ends_ms else "", r.reason)
        for r in found
    ]
    print_table(["request", "state", "scopes", "minutes", "ends", "reason"], rows)


@access.command("approve")
@with_keyed_client
def approve(client: Client, request_id: str, json: JsonFlag = False) -> None:
    """Approve a request. The time starts now. Example: afterimage access approve 0f1e2d3c4b5a6978"""
    _say(client.approve_access(request_id), as_json=json)


@access.command("decline")
@with_keyed_client
def decline(client: Client, request_id: str, json: JsonFlag = False) -> None:
    """Decline a request. Example: afterimage access decline 0f1e2d3c4b5a6978"""
    _say(client.decline_access(request_id), as_json=json)


@access.command("revoke")
@with_keyed_client
def revoke(client: Client, request_id: str, json: JsonFlag = False) -> None:
    """Revoke an access early. Example: afterimage access revoke 0f1e2d3c4b5a6978"""
    _say(client.revoke_access(request_id), as_json=json)


def _say(request: AccessRequest, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(request))
    else:
        until = f" until {at(request.ends_ms):%H:%M} UTC" if request.state == "approved" else ""
        print(f"Request {request.request_id}: {request.state}{until}.")
