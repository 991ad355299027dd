"""`afterimage audit`: reads the tenant's audit log with the tenant's own key, and verifies it without trusting the
server."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import AuditEntry, AuditHead, Client, audit_acts
from service.cli.connection import with_client
from service.cli.operations.data_directory import at
from service.cli.output import CommandError, JsonFlag, end_failed, print_json, print_table

_PAGE = 1000
_MORE = 4  # an act has two entries, with others in between
_UNCERTAIN = frozenset({"open", "unknown"})
_INTERVALS = frozenset({"records.write", "examples.write", "reads"})  # open until they are over
audit = typer.Typer(no_args_is_help=True, help="Read, export and verify the audit log.")


@audit.command("list")
@with_client
def list_(
    client: Client,
    last: Annotated[int, typer.Option(min=1, help="Number of newest entries.")] = 50,
    json: JsonFlag = False,
) -> None:
    """Show the newest entries. Intent and outcome are one line. The key needs the scope `audit`.

    Example: afterimage audit list --last 20
    """
    found = list(_entries(client, max(0, client.audit_head().number - _MORE * last)))
    acts = [a for a in audit_acts(found) if a.action][-last:]
    if json:
        print_json({"entries": [asdict(e) for e in found[-last:]], "acts": [asdict(a) for a in acts]})
        return
    rows = [
        (
            a.number, at(a.time_ms), a.actor, a.action, a.outcome,
            ", ".join(f"{n} {v}" for n, v in a.details.items()),
        )
        for a in acts
    ]  # fmt: skip
    print_table(["number", "time", "actor", "action", "outcome", "details"], rows)


@audit.command("export")
@with_client
def export(client: Client, file: Path, json: JsonFlag = False) -> None:
    """Export the whole log to a file of JSON lines, with the signed head last. Store it in another location.

    Example: afterimage audit export audit-2026-11.jsonl
    """
    head = client.audit_head()
    entries = _up_to(client, head)
    with file.open("w") as out:
        for line in (*map(asdict, entries), {"head": asdict(head)}):
            out.write(jsonlib.dumps(line, sort_keys=True) + "\n")
    if json:
        print_json({"file": str(file), "entries": len(entries), "head": asdict(head)})
    else:
        print(f"Exported {len(entries)} entries to {file}.")


@audit.command("verify")
@with_client
def verify(
    client: Client,
    kept: Annotated[Path | None, typer.Option("--kept", help="Earlier export that the log must continue.")] = None,
    json: JsonFlag = False,
) -> None:
    """Verify every entry and the signature of the head. The exit code is 1 if there is a problem.

    With an earlier export it also detects a log that was truncated or rewritten, even by the server's operator.
    Example: afterimage audit verify --kept audit-2026-11.jsonl
    """
    head = client.audit_head()
    entries = _up_to(client, head)
    found = _problems(entries, head)
    if kept is not None:
        found += _differences(entries, head, *_read(kept))
    _report(entries, found, as_json=json)


@audit.command("reads")
@with_client
def reads(
    client: Client,
    every: Annotated[
        int | None, typer.Option(min=0, max=1440, help="Interval in minutes for one entry; 0 disables it.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Enable, disable or show logging of reads. Off by default. The key needs the scope `admin`.

    An entry contains the key, the collection, the call, the number of calls, and the names of the filtered fields.
    Example: afterimage audit reads --every 15
    """
    if every is not None:
        client.set_read_audit(every)
    minutes = client.read_audit() if every is None else every
    if json:
        print_json({"every_minutes": minutes})
    else:
        print(f"Reads are logged every {minutes} minutes." if minutes else "Reads are not logged.")


@audit.command("check")
def check(file: Path, json: JsonFlag = False) -> None:
    """Verify an exported file without a server. The exit code is 1 if there is a problem.

    Example: afterimage audit check audit-2026-11.jsonl
    """
    entries, head = _read(file)
    _report(entries, _problems(entries, head), as_json=json)


def _entries(client: Client, after: int) -> Iterator[AuditEntry]:
    while page := client.list_audit_entries(after, _PAGE):
        yield from page
        after = page[-1].number


def _up_to(client: Client, head: AuditHead) -> list[AuditEntry]:
    """The entries that the head covers. Later ones were added after it was requested."""
    return [e for e in _entries(client, 0) if e.number <= head.number]


def _problems(entries: Iterable[AuditEntry], head: AuditHead) -> list[str]:
    from service.audit.chain import Entry, Head, problems

    chained = ((Entry(e.number, e.time_ms, e.actor, e.action, e.details, e.previous), e.digest) for e in entries)
    signed = Head(head.tenant_uid, head.number, head.digest, head.time_ms, head.signature) if head.number else None
    return list(problems(head.tenant_uid, chained, signed, head.public_key))


def _read(file: Path) -> tuple[list[AuditEntry], AuditHead]:
    try:
        *lines, last = file.read_text().splitlines()
        return [AuditEntry(**jsonlib.loads(line)) for line in lines], AuditHead(**jsonlib.loads(last)["head"])
    except (ValueError, KeyError, TypeError):
        raise CommandError(
            f"{file} is not a complete file of `afterimage audit export`", reason="FILE_INVALID"
        ) from None


def _differences(
    entries: list[AuditEntry], head: AuditHead, kept: list[AuditEntry], kept_head: AuditHead
) -> Iterator[str]:
    if (kept_head.tenant_uid, kept_head.public_key) != (head.tenant_uid, head.public_key):
        yield "the stored log belongs to another tenant, or was signed with another key"
        return
    now = {e.number: e.digest for e in entries}
    for entry in kept:
        if now.get(entry.number) != entry.digest:
            yield f"entry {entry.number} is missing, or differs from the stored one"
            return


def _report(entries: list[AuditEntry], problems: list[str], *, as_json: bool) -> None:
    left = [a for a in audit_acts(entries) if a.outcome in _UNCERTAIN and a.action not in _INTERVALS]
    if as_json:
        uncertain = [asdict(a) for a in left]
        print_json({"entries": len(entries), "problems": problems, "uncertain": uncertain})
    elif not problems:
        print(f"{len(entries)} entries verified: all are unchanged, and the head is signed.")
    if left and not as_json:
        print(
            f"The outcome of {len(left)} changes is unknown or pending: numbers "
            + ", ".join(str(a.number) for a in left[:20])
            + (" ..." if len(left) > 20 else ".")
        )
    if problems:
        end_failed(CommandError("; ".join(problems[:5]), reason="AUDIT_LOG_DAMAGED"), as_json=as_json)
