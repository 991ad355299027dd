"""ServerInfoService."""

from __future__ import annotations

from afterimage.v1 import server_info_service_pb2 as pb
from index import MAX_ATTRIBUTES, MAX_FILTER_BYTES, MAX_ID_BYTES
from service.engine.engine import Engine
from service.engine.terms.colors import color_block
from service.handlers.conversion.objects import from_detector
from service.handlers.conversion.tuning import from_calibration
from service.handlers.request_limits import MAX_BATCH_RECORDS, MAX_BATCH_SEARCHES, MAX_K, MAX_OFFSET, MAX_TERMS
from service.tenancy.keyring import Principal


class ServerInfoHandlers:
    """Documented in server_info_service.proto."""

    def __init__(self, engine: Engine, version: str, max_message_bytes: int) -> None:
        self._engine, self._version, self._max_message_bytes = engine, version, max_message_bytes

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, caller: Principal) -> pb.GetServerInfoResponse:
        """Returns the version, the limits and the models of the server."""
        limits, encoders = self._engine.pictures.decoders.picture_limits, self._engine.encoders
        calibrations = await self._engine.workers.upkeep(self._engine.first_calibrations)
        detector = self._engine.detection.detector
        return pb.GetServerInfoResponse(
            version=self._version,
            limits=pb.Limits(
                max_message_bytes=self._max_message_bytes,
                max_image_bytes=limits.max_bytes,
                max_image_pixels=limits.max_pixels,
                max_image_side=limits.max_side,
                max_image_ratio=limits.max_ratio,
                max_batch_records=MAX_BATCH_RECORDS,
                max_k=MAX_K,
                max_offset=MAX_OFFSET,
                max_query_terms=MAX_TERMS,
                max_batch_searches=MAX_BATCH_SEARCHES,
                max_id_bytes=MAX_ID_BYTES,
                max_attributes=MAX_ATTRIBUTES,
                max_filter_bytes=MAX_FILTER_BYTES,
            ),
            encoders=[
                pb.Encoder(
                    id=m.id, version=m.version, license=m.license, dimension=m.output.dimension,
                    fingerprint=m.fingerprint, is_default=m.id == encoders.default_id,
                    blocks=[b.name for b in m.output.blocks],
                    near_duplicate_distance=m.score.near_duplicate_distance,
                    calibration=from_calibration(calibrations[m.id]),
                    takes_color=color_block(m) is not None,
                    takes_text=m.text is not None,
                )
                for m in encoders.manifests()
            ],
            image_formats=list(limits.accepted),
            fetches_urls=self._engine.sources.fetches,
            scopes=sorted(caller.scopes),
            takes_idempotency_keys=True,
            detector=from_detector(detector) if detector else None,
        )  # fmt: skip
