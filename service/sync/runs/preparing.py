"""Makes the write of a record from what a feed, or a push, says of it: fetches and encodes its picture if necessary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from index import Collection, Origin, RecordWrite, SourceMark, SourceRecords, attributes_from_json
from service.engine.change_detection import ChangeDetector, Known, PreparedWrite
from service.engine.engine import Engine
from service.engine.picture_encoding import PictureEncoder
from service.engine.pictures import PictureSource
from service.runtime.call_facts import about
from service.sync.feed_input.feed_files import FeedFiles, is_file
from service.sync.runs.staging import Staged


@dataclass(frozen=True)
class SyncJob:
    """What a run works on.

    - `from_disk`: links without a scheme are the operator's files.
    - `check_lease`: raises LeaseLost if another worker may have taken over.
    - `feed_ms`: when the feed was current, in milliseconds since 1970.
    """

    tenant_uid: str
    collection: Collection
    source_id: str
    run_id: str
    epoch: int
    files: FeedFiles
    from_disk: bool
    check_lease: Callable[[], None] = field(repr=False)
    feed_ms: int = 0

    @property
    def sourced(self) -> SourceRecords:
        """What the collection stores of its sources."""
        return self.collection.sourced

    def url_digest(self, url: str) -> bytes:
        """Identifies the location of a picture, and its version if known."""
        if self.from_disk and is_file(url):
            url = f"{url}?{self.files.version(url)}"
        return self.collection.picture_digests.of_url(url)


class RecordPreparer:
    """For the records of one job."""

    def __init__(self, engine: Engine, job: SyncJob, picture_encoder: PictureEncoder | None = None) -> None:
        """`picture_encoder`: encodes the pictures, except the operator's files, which only this machine has; None: this
        process."""
        self._engine, self._job = engine, job
        self._here, self._change_detector = ChangeDetector(engine), ChangeDetector(engine, picture_encoder)

    async def known(self, record_ids: list[str]) -> Known:
        """What is stored of records. Raises ServiceError."""
        return await self._change_detector.known(self._job.collection, record_ids, record_ids)

    async def prepared(self, row: Staged, known: Known, *, check_picture: bool = False) -> PreparedWrite:
        """The write of a record. `check_picture`: even if the location of the picture is the same.

        Raises what refuses its picture.
        """
        write = RecordWrite(
            row.record_id, None, row.product_id, attributes_from_json(row.attributes),
            mark=SourceMark(self._job.source_id, row.item_digest),
        )  # fmt: skip
        origin, digest = known.origins.get(row.record_id), known.digests.get(row.record_id)
        same_location = origin is not None and origin.url_digest == row.url_digest
        if same_location and digest is not None and not check_picture:
            return PreparedWrite(replace(write, origin=origin, digest=digest))
        with about(record_id=row.record_id):
            return await self._with_picture(write, row, known)

    async def _with_picture(self, write: RecordWrite, row: Staged, known: Known) -> PreparedWrite:
        job, picture = self._job, PictureSource(url=row.url)
        on_disk = job.from_disk and is_file(row.url)
        if on_disk:
            picture = PictureSource(image=await self._engine.workers.read(job.files.picture, row.url))
        change_detector = self._here if on_disk else self._change_detector
        found = await change_detector.with_picture(job.tenant_uid, job.collection, write, picture, known)
        return found._replace(write=replace(found.write, origin=Origin(row.url_digest))) if on_disk else found
