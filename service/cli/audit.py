"""`afterimage audit`: the tenant's audit log, read by the tenant's own key, and checked without trusting the server."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from afterimage.client import AuditEntry, AuditHead, Client
from service.cli.connection import with_client
from service.cli.output import CommandError, JsonFlag, print_json, print_table

_PAGE = 1000
audit = typer.Typer(no_args_is_help=True, help="Read, export and verify the audit log.")


@audit.command("list")
@with_client
def list_(
    client: Client,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest entries.")] = 50,
    json: JsonFlag = False,
) -> None:
    """Show the newest entries. The key needs the scope `audit`. Example: afterimage audit list --last 20"""
    found = list(_entries(client, max(0, client.audit_head().number - last)))
    if json:
        print_json({"entries": [asdict(e) for e in found]})
        return
    rows = [
        (
            e.number, datetime.fromtimestamp(e.time_ms / 1000, UTC), e.actor, e.action,
            ", ".join(f"{n} {v}" for n, v in e.details.items()),
        )
        for e in found
    ]  # fmt: skip
    print_table(["number", "time", "actor", "action", "details"], rows)


@audit.command("export")
@with_client
def export(client: Client, file: Path, json: JsonFlag = False) -> None:
    """Write the whole log to a file of JSON lines, the signed head last; keep it somewhere else.

    Example: afterimage audit export audit-2026-11.jsonl
    """
    count = 0
    head = client.audit_head()
    with file.open("w") as out:
        for entry in _entries(client, 0):
            if entry.number > head.number:
                break  # came after the head
            out.write(jsonlib.dumps(asdict(entry), sort_keys=True) + "\n")
            count += 1
        out.write(jsonlib.dumps({"head": asdict(head)}, sort_keys=True) + "\n")
    if json:
        print_json({"file": str(file), "entries": count, "head": asdict(head)})
    else:
        print(f"{count} entries are in {file}.")


@audit.command("verify")
@with_client
def verify(
    client: Client,
    kept: Annotated[
        Path | None, typer.Option("--kept", help="An earlier export: the log must go on from where it ended.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Check every entry and the signature of the head; exit code 1 where something is wrong.

    Against an earlier export it also finds a log that was cut or written anew, even by the server's operator.
    Example: afterimage audit verify --kept audit-2026-11.jsonl
    """
    from service.audit.chain import problems

    head = client.audit_head()
    entries = [e for e in _entries(client, 0) if e.number <= head.number or not head.number]
    found = list(problems(head.tenant_uid, _chained(entries), _signed(head) if head.number else None, head.public_key))
    if kept is not None:
        found += _differences(entries, head, *_read(kept))
    _report(len(entries), found, as_json=json)


@audit.command("check")
def check(file: Path, json: JsonFlag = False) -> None:
    """Check an exported file, without a server; exit code 1 where something is wrong.

    Example: afterimage audit check audit-2026-11.jsonl
    """
    from service.audit.chain import problems

    entries, head = _read(file)
    found = list(problems(head.tenant_uid, _chained(entries), _signed(head) if head.number else None, head.public_key))
    _report(len(entries), found, as_json=json)


def _entries(client: Client, after: int) -> Iterator[AuditEntry]:
    while page := client.list_audit_entries(after, _PAGE):
        yield from page
        after = page[-1].number


def _chained(entries: Iterable[AuditEntry]) -> Iterator[tuple[Any, str]]:
    from service.audit.chain import Entry

    for e in entries:
        yield Entry(e.number, e.time_ms, e.actor, e.action, e.details, e.previous), e.digest


def _signed(head: AuditHead) -> Any:
    from service.audit.chain import Head

    return Head(head.tenant_uid, head.number, head.digest, head.time_ms, head.signature)


def _read(file: Path) -> tuple[list[AuditEntry], AuditHead]:
    try:
        *lines, last = file.read_text().splitlines()
        return [AuditEntry(**jsonlib.loads(line)) for line in lines], AuditHead(**jsonlib.loads(last)["head"])
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{file} is not a whole file of `afterimage audit export`", reason="FILE_INVALID") from None


def _differences(
    entries: list[AuditEntry], head: AuditHead, kept: list[AuditEntry], kept_head: AuditHead
) -> Iterator[str]:
    if (kept_head.tenant_uid, kept_head.public_key) != (head.tenant_uid, head.public_key):
        yield "the kept log is of another tenant, or was signed with another key"
        return
    now = {e.number: e.digest for e in entries}
    for entry in kept:
        if now.get(entry.number) != entry.digest:
            yield f"entry {entry.number} is missing now, or another one than was kept"
            return


def _report(count: int, problems: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"entries": count, "problems": problems})
    elif not problems:
        print(f"{count} entries: every one is as it was written, and the head is signed.")
    if problems and not as_json:
        raise CommandError("; ".join(problems[:5]), reason="AUDIT_LOG_DAMAGED")
    if problems:
        raise typer.Exit(1)
