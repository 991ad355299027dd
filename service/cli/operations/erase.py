"""`afterimage erase`: erases with a receipt, and searches for traces."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterimage.client import Client, ErasureReceipt
from service.cli.connection import with_client, with_keyed_client
from service.cli.operations.data_directory import DataDirOption, KeyFileOption, opened_registry
from service.cli.output import CommandError, Exit, JsonFlag, end_failed, print_json, print_table
from service.cli.progress import working

if TYPE_CHECKING:
    from service.erasure.shared import Shared

_SHOWN_SHARED = 20

erase = typer.Typer(no_args_is_help=True, help="Erase data with a signed receipt, and verify it.")
IdsOption = Annotated[list[str] | None, typer.Option(help="May be repeated.")]
ReceiptOption = Annotated[Path | None, typer.Option(help="Output file for the receipt.")]


@erase.command("records")
@with_client
def records(
    client: Client,
    collection: str,
    record_id: IdsOption = None,
    product_id: IdsOption = None,
    receipt: ReceiptOption = None,
    evidence: Annotated[
        Path | None,
        typer.Option(help="Write ids and vectors to this file first, for `erase verify`. Needs the scope export."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Erase records by id or product. Returns after their data has been removed everywhere. The key needs the scope
    `delete`.

    Example: afterimage erase records shoes --record-id 1042 --product-id p7 --receipt 1042.json
    """
    ids, products = record_id or [], product_id or []
    if not ids and not products:
        raise CommandError("pass --record-id or --product-id", code=Exit.USAGE)
    if evidence is not None:
        _write_evidence(client, collection, ids, products, evidence)
    with working("erasing"):
        found = client.erase_records(collection, record_ids=ids, product_ids=products)
    _hand_out(found, receipt, as_json=json)


@erase.command("collection")
@with_keyed_client
def collection(client: Client, name: str, receipt: ReceiptOption = None, json: JsonFlag = False) -> None:
    """Erase a collection with all its snapshots. Example: afterimage erase collection shoes --receipt shoes.json"""
    _hand_out(client.erase_collection(name), receipt, as_json=json)


@erase.command("check")
def check(
    receipt: Path,
    id_: Annotated[list[str] | None, typer.Option("--id", help="An id of the receipt; pass all of them.")] = None,
    json: JsonFlag = False,
) -> None:
    """Verify the signature and ids of a receipt without a server. The exit code is 1 if it is not genuine.

    Compare its public_key with the one in `afterimage audit export`. Example: afterimage erase check 1042.json --id
    1042
    """
    from service.erasure.receipts import Receipt, is_genuine

    try:
        fields = jsonlib.loads(receipt.read_text())
        found = Receipt(**{**fields, "snapshots": tuple(fields["snapshots"])})
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{receipt} is not a receipt", reason="FILE_INVALID") from None
    genuine = is_genuine(found, id_)
    if json:
        print_json({"genuine": genuine, **asdict(found)})
    elif genuine:
        print(f"The receipt is valid: {found.records} erased ({found.what}).")
    if not genuine:
        error = CommandError("the receipt was changed, or is for other ids", reason="RECEIPT_INVALID")
        end_failed(error, as_json=json)


@erase.command("verify")
def verify(
    tenant: str,
    evidence: Path,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Decrypt and search all files and stored pictures of a tenant for erased data. The exit code is 1 if any is found.

    Live records with the same vector, such as of the same picture, are listed; what they store is not a trace.

    Databases are read page by page, including unused pages. Works beside a running server. Example: afterimage erase
    verify acme evidence.json --data-dir data
    """
    import numpy as np

    from index import DataDirectory
    from service.composition.parts import object_store_of
    from service.config import load_settings
    from service.erasure.traces import Evidence, search
    from service.objects.sealed import SealedObjects

    try:
        said = jsonlib.loads(evidence.read_text())
        given = Evidence(said["strings"], np.array(said["vectors"], np.float32), said.get("collection", ""))
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{evidence} was not written by `afterimage erase records`", reason="FILE_INVALID") from None
    settings = load_settings({"data_dir": data_dir, "master_key_file": master_key_file}).settings
    with (
        opened_registry(data_dir, master_key_file) as (registry, _),
        working("searching"),
    ):
        uid = registry.tenant(tenant).uid
        objects = SealedObjects(object_store_of(settings), registry.data_key).all_opened(uid)
        found = search(DataDirectory(settings.data_dir).tenant(uid), registry.data_key(uid), given, objects)
    if json:
        print_json(asdict(found))
    elif found.traces:
        print_table(["file", "what"], sorted({(t.file, t.what) for t in found.traces}))
    else:
        print(f"Nothing found in {found.files} files, {found.bytes / 1e6:.1f} MB decrypted.")
    if not json:
        _print_shared(found.shared)
    if found.too_short and not json:
        print(f"{found.too_short} ids are too short to search for.")
    if found.traces:
        end_failed(CommandError(f"found {len(found.traces)} traces", reason="TRACES_FOUND"), as_json=json)


def _print_shared(shared: Sequence[Shared]) -> None:
    for one in shared[:_SHOWN_SHARED]:
        print(f"Another live record has the same {one.what}: {one.collection}/{one.record_id}")
    if len(shared) > _SHOWN_SHARED:
        print(f"and {len(shared) - _SHOWN_SHARED} more; --json lists all")


def _write_evidence(client: Client, collection: str, ids: list[str], products: list[str], file: Path) -> None:
    from afterimage.client import unpack_vector

    found: dict[str, Any] = {}
    for start in range(0, len(ids), 100):
        for record in client.get_records(collection, ids[start : start + 100], include_vectors=True)[0]:
            found[record.record_id] = unpack_vector(record.vector)
    for product in products:
        quoted = product.replace("\\", "\\\\").replace('"', '\\"')
        for record in client.records(collection, filter=f'product_id = "{quoted}"', include_vectors=True):
            found[record.record_id] = unpack_vector(record.vector)
    file.touch(0o600)
    strings = [*dict.fromkeys([*ids, *products, *found])]
    said = {"collection": collection, "strings": strings, "vectors": [list(v) for v in found.values()]}
    file.write_text(jsonlib.dumps(said))


def _hand_out(receipt: ErasureReceipt, file: Path | None, *, as_json: bool) -> None:
    fields = asdict(receipt)
    if file is not None:
        file.write_text(jsonlib.dumps(fields, indent=1) + "\n")
    if as_json:
        print_json(fields)
    else:
        where = f"; the receipt is in {file}" if file else ""
        print(f"Erased {receipt.records} records (receipt {receipt.receipt_id}){where}.")
