"""Collections as Parquet files, one batch of rows at a time. docs/formats/collection-parquet.md describes the
columns."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from afterimage.client import NewRecord, PairJudgement, Record
from service.cli.collections.tables.attribute_values import id_text
from service.cli.collections.tables.record_columns import record_of
from service.cli.output import CommandError

try:  # a quarter of an installation with it, and of no use to a server
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow.parquet.encryption import create_decryption_properties, create_encryption_properties
except ImportError:
    raise CommandError(
        "Parquet files need the package pyarrow: pip install 'afterimage-server[parquet]', or pip install pyarrow",
        reason="PACKAGE_MISSING",
    ) from None

FORMAT = 1
KEY_BYTES = 32
CARD_KEY = b"afterimage"
PAIRS_KEY = b"afterimage.judged_pairs"
_NOT_READ = frozenset({"region", "create_time", "update_time"})
_REGION = pa.struct([(side, pa.float32()) for side in ("left", "top", "right", "bottom")])


@dataclass(frozen=True)
class EncoderCard:
    """The encoder of the vectors in a file, and the collection that the file contains."""

    collection: str
    encoder_id: str
    encoder_fingerprint: str
    dimension: int
    encoder_version: str = ""
    encoder_license: str = ""
    format: int = FORMAT


def schema(card: EncoderCard) -> pa.Schema:
    """The columns, with the card in the file's metadata."""
    columns = [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("product_id", pa.string(), nullable=False),
        pa.field("vector", pa.list_(pa.float32(), card.dimension), nullable=False),
        pa.field("attributes", pa.string(), nullable=False),
        pa.field("region", _REGION),
        pa.field("create_time", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("update_time", pa.timestamp("ms", "UTC"), nullable=False),
    ]
    return pa.schema(columns, {CARD_KEY: json.dumps(asdict(card)).encode()})


def file_key(path: Path, *, make: bool) -> bytes:
    """The key of an encrypted file, 32 bytes, from a file with its base64.

    `make` creates a missing one. Raises CommandError.
    """
    if make and not path.exists():
        path.touch(0o600)
        path.write_text(base64.b64encode(os.urandom(KEY_BYTES)).decode() + "\n")
    try:
        key = base64.b64decode(path.read_text(), validate=False)
    except (OSError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise CommandError(f"{path} does not contain a key: {KEY_BYTES} bytes in base64", reason="KEY_INVALID")
    return key


@dataclass(frozen=True)
class BadRow:
    """An invalid row (number from 1), and the reason."""

    number: int
    record_id: str
    message: str


class ParquetExport:
    """Writes batches of records. The file gets its name only when it is complete."""

    def __init__(self, path: Path, card: EncoderCard, key: bytes | None = None) -> None:
        """`key`: 32 bytes that everything in the file is encrypted with; None: it is in the clear."""
        self._path, self._schema, self._key = path, schema(card), key
        self._part = path.with_name(path.name + ".part")

    @contextmanager
    def open(self) -> Iterator[ParquetExport]:
        """Opens the file for writing. Raises OSError; the unfinished file is then removed."""
        self._part.touch(0o600)
        secret = create_encryption_properties(self._key) if self._key is not None else None
        self._writer = pq.ParquetWriter(self._part, self._schema, compression="zstd", encryption_properties=secret)
        try:
            yield self
            self._writer.close()
            self._part.rename(self._path)
        except BaseException:
            self._writer.close()
            self._part.unlink(missing_ok=True)
            raise

    def write(self, records: list[Record]) -> None:
        """One batch."""
        vectors = pa.FixedSizeListArray.from_arrays(
            pa.Array.from_buffers(
                pa.float32(), len(records) * self._schema.field("vector").type.list_size,
                [None, pa.py_buffer(b"".join(r.vector for r in records))],
            ),
            self._schema.field("vector").type.list_size,
        )  # fmt: skip
        columns: list[Any] = [
            [r.record_id for r in records],
            [r.product_id for r in records],
            vectors,
            [json.dumps(dict(r.attributes), ensure_ascii=False, sort_keys=True) for r in records],
            [asdict(r.region) if r.region else None for r in records],
            [r.create_time for r in records],
            [r.update_time for r in records],
        ]
        fields = zip(columns, self._schema, strict=True)
        arrays = [c if isinstance(c, pa.Array) else pa.array(c, f.type) for c, f in fields]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def add_pairs(self, pairs: Sequence[PairJudgement]) -> None:
        """Puts verdicts on pairs into the metadata of the file, once all batches are written."""
        content = json.dumps([(p.record_id, p.other_record_id, p.verdict) for p in pairs], ensure_ascii=False)
        self._writer.add_key_value_metadata({PAIRS_KEY: content.encode()})


class ParquetImport:
    """Reads a file of `ParquetExport`, or one with its columns record_id and vector."""

    def __init__(self, path: Path, key: bytes | None = None, names: Mapping[str, str] | None = None) -> None:
        """`key`: of an encrypted file. `names`: columns with other names, by field: record_id, product_id, vector,
        attributes. Raises CommandError if the file is of another kind, the key is wrong, or a column is missing."""
        secret = create_decryption_properties(key, allow_plaintext_files=True) if key is not None else None
        try:
            self._file = pq.ParquetFile(path, decryption_properties=secret)
        except pa.ArrowInvalid as error:
            raise CommandError(f"{path} is not a Parquet file: {error}", reason="FILE_INVALID") from None
        except OSError as error:
            if not path.is_file():
                raise
            message = f"{path} is encrypted" + (": pass --key-file" if key is None else ", with another key")
            raise CommandError(message, reason="KEY_INVALID") from error
        there, given = self._file.schema_arrow.names, dict(names or {})
        wanted = {"record_id": "record_id", "vector": "vector"} | given
        if missing := sorted(set(wanted.values()) - set(there)):
            raise CommandError(
                f"{path} has no column {', '.join(missing)}; it has {', '.join(there)}: name them with --map "
                "record_id=COLUMN and --map vector=COLUMN",
                reason="FILE_INVALID",
            )
        taken = set(given) - set(given.values())  # columns that have the name of a field that another column is
        self._fields = {column: field for field, column in given.items()}
        self._columns = [n for n in there if n not in _NOT_READ | taken and not n.startswith("__")]
        self.count: int = self._file.metadata.num_rows

    @property
    def card(self) -> EncoderCard | None:
        """The encoder of the vectors; None if the file does not contain it."""
        held = (self._file.schema_arrow.metadata or {}).get(CARD_KEY)
        if held is None:
            return None
        said = json.loads(held)
        if said.get("format") != FORMAT:
            message = f"the file has format {said.get('format')}; this version supports {FORMAT}"
            raise CommandError(message, reason="FILE_INVALID")
        return EncoderCard(**said)

    @property
    def pairs(self) -> list[PairJudgement]:
        """Verdicts on pairs of the records. Raises CommandError if they cannot be read."""
        held = (self._file.metadata.metadata or {}).get(PAIRS_KEY)
        try:
            return [] if held is None else [PairJudgement(*pair) for pair in json.loads(held)]
        except (ValueError, TypeError) as error:
            raise CommandError(f"the judged pairs of the file cannot be read: {error}", reason="FILE_INVALID") from None

    def records(self, first: int = 1) -> Iterator[NewRecord | BadRow]:
        """The records, in the file's order, from a row on; a row that is none comes as why."""
        seen: set[str] = set()
        for number, found in enumerate(_rows(self._file, self._columns), 1):
            if isinstance(found, str):
                if number >= first:
                    yield BadRow(number, "", found)
                continue
            row = {self._fields.get(name, name): value for name, value in found.items()}
            if number < first:
                with contextlib.suppress(ValueError):
                    seen.add(id_text(row["record_id"]))
                continue
            try:
                record = record_of(row)
            except (ValueError, TypeError, RecursionError) as error:
                yield BadRow(number, str(row.get("record_id", ""))[:256], str(error)[:300])
                continue
            if record.record_id in seen:
                yield BadRow(number, record.record_id, "an earlier row has the same record id")
            else:
                seen.add(record.record_id)
                yield record


def rows_of(path: Path) -> Iterator[dict[str, Any] | str]:
    """The rows of any Parquet file, or the reason why one is invalid. Raises CommandError."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CommandError(f"{path} cannot be read as a Parquet file: {error}", reason="FILE_INVALID") from None
    yield from _rows(file, file.schema_arrow.names)


def _rows(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[dict[str, Any] | str]:
    for batch in file.iter_batches(1000, columns=columns):
        try:
            yield from batch.to_pylist()
        except (ValueError, OverflowError, pa.ArrowException):  # some value of some row: each alone
            for number in range(batch.num_rows):
                try:
                    yield batch.slice(number, 1).to_pylist()[0]
                except (ValueError, OverflowError, pa.ArrowException) as error:
                    yield f"a value cannot be read: {type(error).__name__}"
