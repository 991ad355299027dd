"""A durable collection of vectors: the store is the truth, the rows in memory answer the searches."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from index.collection.collection_cache import Hot, HotCollections
from index.collection.pictures import PictureBook
from index.collection.reading import facet_of
from index.collection.source_records import SourceRecords
from index.collection.verification import collection_problems
from index.manifest.location import Place
from index.records.backups import KeptSnapshot, KeptSnapshots
from index.records.extensions.picture_digests import PictureDigests
from index.records.prepare import prepare
from index.records.queries import (
    creation_time_ms,
    read_digests,
    read_existing,
    read_origins,
    read_sequence,
    read_usage,
    read_withdrawn,
)
from index.records.transaction import Transaction
from index.speed.gil_yield import let_go, searches
from index.speed.roaring_arrays import members
from index.storage.crypto import derive_key
from index.storage.sqlite import store_errors
from index.types.attributes import check_attribute_name, check_attributes, check_id
from index.types.changes import Normalised
from index.types.checks import normalised
from index.types.errors import InvalidInput
from index.types.model import (
    UNLIMITED_BYTES,
    CollectionSpec,
    CollectionStats,
    DuplicateGroup,
    Erasure,
    Facet,
    FilterHints,
    Origin,
    Outcome,
    RecordPage,
    RecordPatch,
    RecordWrite,
    Region,
    SearchAnswer,
    SearchQuery,
    StoredRecord,
    WriteResult,
)
from index.types.quota import Usage


class Collection:
    """Records of one collection. Any number of threads may call any method at once.

    TenantDirectory makes one. It is brought into memory by its first use; every write returns after it is on disk. All
    methods raise StoreUnavailable where the files cannot be read or written, or once the collection is closed.
    """

    def __init__(self, place: Place, shelf: HotCollections) -> None:
        self._place = place
        self.hot = Hot(place, shelf)
        self._digest_key = derive_key(place.key, "content digest")

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is."""
        return self._place.spec

    @property
    def owner(self) -> str:
        """Uid of the tenant that it belongs to."""
        return self._place.owner

    def take_over(self, spec: CollectionSpec) -> None:
        """Takes over a changed description, or whether to learn."""
        self._place = self.hot.place = replace(self._place, spec=spec)
        if self.hot.loaded is not None:
            learning = self.hot.loaded.upkeep.learning
            learning.allowed = learning.queries.wanted = spec.learning

    # ---- writing

    def content_digest(self, picture: bytes, region: Region | None) -> bytes:
        """A keyed digest of a picture and its region: equal for equal input, meaningless without the tenant's key."""
        return self.picture_digests.of(picture, region)

    @property
    def picture_digests(self) -> PictureDigests:
        """What makes the digests of this collection's pictures."""
        return PictureDigests(self._digest_key, self.spec.encoder_fingerprint)

    def digests(self, record_ids: Sequence[str]) -> dict[str, bytes]:
        """The stored content digests of those records that have one."""
        with self.hot as loaded, loaded.readers.connection() as connection:
            return read_digests(connection, record_ids)

    def origins(self, record_ids: Sequence[str]) -> dict[str, Origin]:
        """Where the pictures of those records that were fetched came from."""
        with self.hot as loaded, loaded.readers.connection() as connection:
            return read_origins(connection, record_ids)

    def upsert(self, writes: Sequence[RecordWrite], *, insert_only: bool = False) -> list[WriteResult]:
        """Inserts or replaces records, one result each, in order. A bad record fails alone."""
        prepared = prepare(writes, self.spec.dimension)
        if not any(isinstance(p, Normalised) for p in prepared):
            return [p for p in prepared if isinstance(p, WriteResult)]
        with self.hot as loaded:
            results = loaded.commit.run(lambda transaction: transaction.upsert(prepared, insert_only=insert_only))
        let_go(prepared)
        return results

    def patch(self, patches: Sequence[RecordPatch]) -> list[WriteResult]:
        """Changes product ids and attributes, one result each, in order; RecordNotFound for ids that do not exist."""
        with self.hot as loaded:
            return loaded.commit.run(lambda transaction: [_patch_one(transaction, p) for p in patches])

    def delete(self, record_ids: Sequence[str]) -> int:
        """Deletes by id; ids that do not exist are passed over. Returns how many were deleted."""
        with self.hot as loaded:
            return loaded.commit.run(lambda transaction: transaction.delete_records(record_ids))

    def unknown_ids(self, record_ids: Sequence[str]) -> builtins.list[str]:
        """Those of the ids, in order and once each, that `delete` would find nothing of."""
        with self.hot as loaded, loaded.readers.connection() as connection:
            known = read_existing(connection, record_ids) | read_withdrawn(connection, record_ids)
        return [record_id for record_id in dict.fromkeys(record_ids) if record_id not in known]

    def delete_matching(self, filter_text: str) -> int:
        """Deletes all records that match when the call begins and are unchanged when it writes. Returns how many."""
        with self.hot as loaded:
            view = loaded.view
            slots = members(loaded.reading.allowed(view, filter_text).rows)
            rows = list(zip(view.row_ids[slots].tolist(), view.sequences[slots].tolist(), strict=True))
            return loaded.commit.run(lambda transaction: transaction.delete_rows(rows))

    def erase(self, record_ids: Sequence[str], product_ids: Sequence[str] = ()) -> Erasure:
        """Deletes records by id and by product, withdrawn ones too, and returns once nothing of them is left in the
        store, its log, the memory and all snapshots. Raises OSError."""
        with self.hot as loaded, store_errors(self._place.layout.records):
            view = loaded.view
            slots = [s for p in product_ids for s in view.slots_of_product(p)]
            rows = list(zip(view.row_ids[slots].tolist(), view.sequences[slots].tolist(), strict=True))

            def delete(transaction: Transaction) -> int:
                withdrawn = sum(transaction.forget_product(p) for p in product_ids)
                return withdrawn + transaction.delete_rows(rows) + transaction.delete_records(record_ids)

            records = loaded.commit.run(delete)
            sequence = loaded.upkeep.erase()
            loaded.reading.forget_earlier(loaded.view)
            kept = (i for i in loaded.files.kept.ids() if i not in loaded.upkeep.damaged_kept)
            return Erasure(records, sequence, tuple(kept))

    # ---- reading

    def search(self, query: SearchQuery) -> SearchAnswer:
        """The nearest records. Raises InvalidInput, FilterSyntaxError or AnswerTooLarge."""
        vector = normalised("query", query.vector, self.spec.dimension)
        with self.hot as loaded, searches:
            return loaded.reading.search(loaded.view, query, vector, loaded.upkeep.recall)

    def get(
        self, record_ids: Sequence[str], *, vectors: bool = False, max_bytes: int = UNLIMITED_BYTES
    ) -> dict[str, StoredRecord]:
        """Records by id; ids that do not exist are left out. Raises AnswerTooLarge beyond `max_bytes`."""
        with self.hot as loaded:
            return loaded.reading.get(record_ids, vectors=vectors, max_bytes=max_bytes)

    def count(self, filter_text: str = "") -> int:
        """How many records match."""
        with self.hot as loaded:
            return loaded.reading.allowed(loaded.view, filter_text).count

    def filter_hints(self, filter_text: str) -> FilterHints:
        """What is odd about a filter: names that no record has, values of another type than the records'."""
        with self.hot as loaded:
            return loaded.reading.allowed(loaded.view, filter_text).hints

    def facets(self, attributes: Sequence[str], filter_text: str = "") -> list[Facet]:
        """How many matching records have each value of these attributes."""
        with self.hot as loaded:
            allowed = loaded.reading.allowed(loaded.view, filter_text)
            return [facet_of(allowed, name) for name in attributes]

    def list(
        self, after_row_id: int, limit: int, filter_text: str = "", *, vectors: bool = False
    ) -> builtins.list[StoredRecord]:
        """Up to `limit` matching records whose row id is higher than `after_row_id`, in order of row id."""
        return self.page(after_row_id, limit, filter_text, vectors=vectors).records

    def page(
        self,
        after_row_id: int,
        limit: int,
        filter_text: str = "",
        *,
        vectors: bool = False,
        max_bytes: int = UNLIMITED_BYTES,
    ) -> RecordPage:
        """As `list`; it ends before `max_bytes`, but for a record that alone takes more."""
        with self.hot as loaded:
            return loaded.reading.page(
                loaded.view, after_row_id, limit, filter_text, vectors=vectors, max_bytes=max_bytes
            )

    def duplicates(self, filter_text: str, max_distance: float) -> Iterator[DuplicateGroup]:
        """Groups of matching records within a cosine distance of their first. Raises InvalidInput."""
        with self.hot as loaded:
            yield from loaded.reading.duplicates(loaded.view, filter_text, max_distance)

    def stats(self) -> CollectionStats:
        """Counts, as searches see them; what is not known without loading is left out of a cold collection's."""
        loaded = self.hot.loaded
        if loaded is not None:
            return loaded.stats()
        with self._place.opened() as connection:
            created_ms, sequence = creation_time_ms(connection), read_sequence(connection)
            return CollectionStats(read_usage(connection).records, 0, sequence, created_ms, created_ms, 0)

    def loaded_stats(self) -> CollectionStats:
        """As `stats`, with all that is known once the collection is in memory."""
        with self.hot as loaded:
            return loaded.stats()

    def usage(self) -> Usage:
        """How much is stored."""
        with self._place.opened() as connection:
            return read_usage(connection)

    @property
    def pictures(self) -> PictureBook:
        """What is kept of pictures."""
        return PictureBook(self.hot, self._place.home)

    @property
    def sourced(self) -> SourceRecords:
        """The records that follow a source, for catalogue synchronisation."""
        return SourceRecords(self.hot, self.spec.dimension)

    # ---- upkeep

    @property
    def damaged(self) -> bool:
        """Whether a read met a damaged page since the collection was brought into memory."""
        loaded = self.hot.loaded
        return loaded is not None and loaded.damage is not None

    @property
    def damaged_snapshots(self) -> builtins.list[Path]:
        """Snapshots that were set aside when the collection was loaded."""
        with self.hot as loaded:
            return loaded.damaged_snapshots

    def snapshot(self) -> int:
        """Writes a snapshot of what searches see now; returns its sequence number. Raises OSError."""
        with self.hot as loaded, store_errors(self._place.layout.records):
            return loaded.upkeep.snapshot()

    def compact(self) -> None:
        """Frees the memory of deleted and replaced rows, and rewrites the snapshot without them; nobody waits for it.

        Raises OSError, or BaseNotBuilt."""
        with self.hot as loaded, store_errors(self._place.layout.records):
            loaded.upkeep.compact()

    def build_base(self, *, anew: bool = False) -> bool:
        """Makes searches fast that would compare every row; False where there are too few. Raises BaseNotBuilt."""
        with self.hot as loaded, store_errors(self._place.layout.records):
            return loaded.upkeep.build_base(anew=anew)

    def maintain(self) -> str | None:
        """Does, or begins, what is due; returns what. Meant to be called every few seconds."""
        with self.hot as loaded, store_errors(self._place.layout.records):
            done = loaded.upkeep.maintain()
            loaded.reading.forget_earlier(loaded.view)
            self.hot.weigh()
            return done

    def keep_snapshot(self) -> KeptSnapshot:
        """Copies the collection as it is now; reading and writing go on. Raises OSError."""
        with self.hot as loaded, loaded.readers.connection() as connection:
            read_sequence(connection)  # from here on the connection sees this state
            return loaded.files.kept.create(connection)

    def clear_kept(self) -> None:
        """Erases what was deleted from the snapshots that were asked for, which upkeep does in time. Raises OSError."""
        with self.hot as loaded, store_errors(self._place.layout.records):
            loaded.upkeep.clear_kept()

    @property
    def kept(self) -> KeptSnapshots:
        """The snapshots that were asked for."""
        return KeptSnapshots(self._place)

    def note(self) -> None:
        """Notes in the tenant's manifest how far the collection has come, where it is in memory and changed since the
        last note. Meant to be called every few seconds. Raises StoreUnavailable."""
        loaded = self.hot.loaded
        if loaded is not None:
            loaded.note()

    def problems(self) -> Iterator[str]:
        """What is wrong with the store, the memory and the files, a line each; nothing where all is well."""
        with self.hot as loaded:
            yield from collection_problems(loaded)

    def close(self) -> None:
        """Snapshots if anything changed, then closes. Calls that still run are waited for; later ones fail."""
        self.hot.close(snapshot=True)

    def abandon(self) -> None:
        """Closes without a snapshot, for a collection whose files are about to be deleted."""
        self.hot.close(snapshot=False)


def _patch_one(transaction: Transaction, patch: RecordPatch) -> WriteResult:
    try:
        check_attributes(patch.set_attributes)
        for name in patch.remove_attributes:
            check_attribute_name(name)
        if patch.product_id is not None:
            check_id("product_id", patch.product_id, empty_allowed=True)
        return transaction.patch(patch)
    except InvalidInput as error:
        return WriteResult(patch.record_id, Outcome.FAILED, error=error)
