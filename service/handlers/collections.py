"""CollectionService."""

from __future__ import annotations

from afterimage.v1 import collection_service_pb2 as pb
from index import Collection, CollectionSpec, CollectionStats
from service.engine.collection_tuning import CollectionTuning, LabelledRecords
from service.engine.engine import Engine, NewCollection
from service.engine.faults import translated_errors
from service.handlers.conversion.tuning import from_calibration, from_choice, from_score_choice, from_threshold
from service.handlers.conversion.values import check_most, from_policy, invalid, page_size, timestamp, to_policy
from service.handlers.request_limits import MAX_PAIRS
from service.tenancy.keyring import Principal
from service.tuning.thresholds import best_threshold
from service.tuning.tuning import tuning_of

_LEARNING = {pb.LEARNING_UNSPECIFIED: None, pb.LEARNING_AUTO: True, pb.LEARNING_OFF: False}


class CollectionHandlers:
    """Documented in collection_service.proto."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._tuning = engine, CollectionTuning(engine)

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, caller: Principal
    ) -> pb.CreateCollectionResponse:
        """Creates an empty collection."""
        wanted = request.collection
        policy = to_policy(wanted.picture_policy or pb.PICTURE_POLICY_DISCARD, "collection.picture_policy")
        learning = _LEARNING[wanted.learning] is not False
        made = await self._engine.create_collection(
            caller,
            NewCollection(
                wanted.name,
                wanted.encoder_id,
                wanted.description,
                learning,
                policy,
                wanted.partial,
                wanted.keep_feedback,
                dict(wanted.default_emphasis),
            ),
        )
        return pb.CreateCollectionResponse(collection=await self._message(made))

    async def GetCollection(self, request: pb.GetCollectionRequest, caller: Principal) -> pb.GetCollectionResponse:
        """Returns one collection."""
        found = await self._engine.collection(caller, request.name)
        return pb.GetCollectionResponse(collection=await self._message(found))

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, caller: Principal
    ) -> pb.ListCollectionsResponse:
        """Returns a page of collections. The token is the last name of the previous page."""
        size = page_size(request.page_size)
        directory = await self._engine.directory(caller)
        names = directory.names(request.page_token, size + 1)
        found = [await self._engine.collection(caller, name) for name in names[:size]]
        token = names[size - 1] if len(names) > size else ""
        return pb.ListCollectionsResponse(collections=[await self._message(c) for c in found], next_page_token=token)

    async def UpdateCollection(
        self, request: pb.UpdateCollectionRequest, caller: Principal
    ) -> pb.UpdateCollectionResponse:
        """Changes the description, learning, the use of truncated pictures, or whether feedback is kept."""
        description = request.description if request.HasField("description") else None
        learning = _LEARNING[request.learning]
        partial = request.partial if request.HasField("partial") else None
        feedback = request.keep_feedback if request.HasField("keep_feedback") else None
        directory = await self._engine.directory(caller)
        with translated_errors():
            found = await self._engine.workers.write(
                lambda: directory.change(
                    request.name, description=description, learning=learning, partial=partial, feedback=feedback
                )
            )
        if request.HasField("default_emphasis"):
            weights = dict(request.default_emphasis.weights)
            found = await self._tuning.set_weights(caller, request.name, weights)
        return pb.UpdateCollectionResponse(collection=await self._message(found))

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, caller: Principal
    ) -> pb.DeleteCollectionResponse:
        """Deletes a collection. Without `force` it only reports what it would delete."""
        found = await self._engine.collection(caller, request.name)
        count, kept = (await self._stats(found)).records, len(await self._engine.workers.read(found.kept.ids))
        if request.force:
            directory = await self._engine.directory(caller)
            with translated_errors():
                await self._engine.workers.write(directory.delete, request.name, with_kept=request.with_snapshots)
        return pb.DeleteCollectionResponse(record_count=count, deleted=request.force, snapshot_count=kept)

    async def TuneCollection(self, request: pb.TuneCollectionRequest, caller: Principal) -> pb.TuneCollectionResponse:
        """Measures learned weights and scores; uses them with `apply`."""
        if request.undo:
            if request.apply:
                raise invalid("undo", "undo and apply cannot be combined")
            found, changed = await self._tuning.undo(caller, request.name)
            return pb.TuneCollectionResponse(changed=changed, collection=await self._message(found))
        report, found, changed = await self._tuning.tune(caller, request.name, apply=request.apply)
        return pb.TuneCollectionResponse(
            weights=from_choice(report.weights),
            calibration=from_score_choice(report.scores),
            changed=changed,
            collection=await self._message(found),
            record_count=report.records,
        )

    async def CalibrateCollection(
        self, request: pb.CalibrateCollectionRequest, caller: Principal
    ) -> pb.CalibrateCollectionResponse:
        """Measures labelled pairs; calibrates the scores by them with `apply`."""
        await self._engine.collection(caller, request.name)
        check_most("pairs", len(request.pairs), MAX_PAIRS)
        pairs = [LabelledRecords(p.first_record_id, p.second_record_id, p.same_product) for p in request.pairs]
        report, _ = await self._tuning.calibrate(caller, request.name, pairs, apply=request.apply)
        return pb.CalibrateCollectionResponse(
            thresholds=[from_threshold(row) for row in report.rows],
            best=from_threshold(best_threshold(report.rows)),
            calibration=from_calibration(report.calibration),
            changed=request.apply,
            missing_record_ids=report.missing,
            pair_count=report.pairs,
        )

    async def _message(self, collection: Collection) -> pb.Collection:
        message = _to_message(collection.spec, await self._stats(collection))
        message.calibration.CopyFrom(from_calibration(self._engine.calibration_of(collection)))
        return message

    async def _stats(self, collection: Collection) -> CollectionStats:
        """Returns the statistics; those of a collection that is not in memory come from its file."""
        with translated_errors():
            return await self._engine.workers.read(collection.stats)


def _to_message(spec: CollectionSpec, stats: CollectionStats) -> pb.Collection:
    tuning = tuning_of(spec.tuning)
    return pb.Collection(
        name=spec.name,
        description=spec.description,
        encoder_id=spec.encoder_id,
        dimension=spec.dimension,
        encoder_fingerprint=spec.encoder_fingerprint,
        picture_policy=from_policy(spec.picture_policy),
        policy_version=spec.policy_version,
        learning=pb.LEARNING_AUTO if spec.learning else pb.LEARNING_OFF,
        learned=stats.learned,
        partial=spec.partial,
        keep_feedback=spec.feedback,
        default_emphasis=tuning.weights,
        learned_emphasis=tuning.learned,
        record_count=stats.records,
        tombstone_count=stats.tombstones,
        sequence=stats.sequence,
        create_time=timestamp(stats.created_ms),
        index_time=timestamp(stats.index_time_ms),
    )
