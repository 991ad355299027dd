"""What answers show of the rows of a view: their records, and what a caller makes of these, which is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from index.types.errors import AnswerTooLarge
from index.types.record import Show, StoredRecord
from index.vectors.ann.faiss_index import RowNumbers
from index.vectors.segment.payloads import unpack_records
from index.vectors.segment.view import View


class Showing:
    """Of one local index. Any number of threads may call any method at once."""

    def __init__(self, encoder_fingerprint: str) -> None:
        self._fingerprint = encoder_fingerprint

    def at(self, view: View, slots: Sequence[int], show: Show) -> list[bytes]:
        """What `show` makes of the records of slots."""
        kept = view.payloads.shown.find(slots, show)
        missing = [slot for slot, found in zip(slots, kept, strict=True) if found is None]
        if not missing:
            return [content for _, content in kept]  # type: ignore[misc]
        erasures = view.payloads.shown.erasures
        made = [show(record) for record in self.read(view, np.array(missing, np.int64))]
        view.payloads.shown.keep(show, zip(missing, missing, made, strict=True), erasures)
        rest = iter(made)
        return [next(rest) if found is None else found[1] for found in kept]

    def shown(self, view: View, record_ids: Sequence[str], show: Show) -> list[bytes] | None:
        """What is kept of live records, in their order; None unless it is of each."""
        kept = view.payloads.shown.find(record_ids, show)
        contents = [found[1] for found in kept if found is not None and found[0] in view.live]
        return contents if len(contents) == len(kept) else None

    def show(self, view: View, row_ids: Iterable[int], show: Show, max_bytes: int) -> dict[str, bytes]:
        """What `show` makes of rows, by record id. Raises AnswerTooLarge."""
        slots, erasures = view.slots_of(row_ids), view.payloads.shown.erasures
        if sum(map(len, view.payloads.records(slots))) > max_bytes:
            raise AnswerTooLarge(f"the records take more than {max_bytes} bytes")
        records = self.read(view, np.array(slots, np.int64))
        made = [(record.record_id, slot, show(record)) for slot, record in zip(slots, records, strict=True)]
        view.payloads.shown.keep(show, made, erasures)
        return {record_id: content for record_id, _, content in made}

    def read(self, view: View, at: RowNumbers) -> list[StoredRecord]:
        """The records of slots, without their vectors."""
        row_ids, sequences = view.row_ids[at].tolist(), view.sequences[at].tolist()
        return unpack_records(view.payloads.records(at.tolist()), row_ids, sequences, self._fingerprint)
