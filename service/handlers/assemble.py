"""Creates the handlers of all services."""

from __future__ import annotations

from dataclasses import dataclass

from service.audit.logs import AuditLogs
from service.calls.limits.large_responses import LargeResponses
from service.engine.download_links import DownloadLinks
from service.engine.engine import Engine
from service.erasure.erasing import Erasing
from service.handlers.access_requests import AccessHandlers
from service.handlers.admin import AdminHandlers
from service.handlers.audit import AuditHandlers
from service.handlers.collections import CollectionHandlers
from service.handlers.erasure import ErasureHandlers
from service.handlers.pictures import PictureHandlers
from service.handlers.records import RecordHandlers
from service.handlers.reports import Reports, ReportSources
from service.handlers.search import SearchHandlers
from service.handlers.searches.saved_searches import SavedSearchHandlers
from service.handlers.server_info import ServerInfoHandlers
from service.handlers.sync import SyncHandlers
from service.handlers.training import TrainingHandlers
from service.handlers.workers import WorkerHandlers
from service.sync.runs.remote_workers import RemoteWorkers
from service.sync.synchronisation import Synchronisation
from service.tenancy.access import AccessRequests
from service.tenancy.limits import ReadAudit
from service.training.own_training import OwnTraining


@dataclass(frozen=True)
class Dependencies:
    """The parts that the handlers use."""

    engine: Engine
    sync: Synchronisation
    remote_workers: RemoteWorkers
    audit: AuditLogs
    read_audit: ReadAudit
    access: AccessRequests
    erasing: Erasing
    download_links: DownloadLinks
    training: OwnTraining
    reports: ReportSources


def handlers_of(parts: Dependencies, version: str, max_message_bytes: int) -> dict[str, object]:
    """Returns the object that handles the calls of each service, by the service's full name."""
    engine, responses = parts.engine, LargeResponses(max_message_bytes)
    handlers = {
        "CollectionService": CollectionHandlers(engine),
        "RecordService": RecordHandlers(engine, engine.metrics, responses),
        "SearchService": SearchHandlers(engine, engine.metrics, responses),
        "SavedSearchService": SavedSearchHandlers(engine),
        "ServerInfoService": ServerInfoHandlers(engine, version, max_message_bytes),
        "AdminService": AdminHandlers(engine, parts.sync, Reports(engine, parts.reports)),
        "SyncService": SyncHandlers(parts.sync),
        "WorkerService": WorkerHandlers(parts.remote_workers, version),
        "AuditService": AuditHandlers(parts.audit, parts.read_audit, engine.workers),
        "AccessService": AccessHandlers(parts.access, engine.workers),
        "ErasureService": ErasureHandlers(parts.erasing),
        "PictureService": PictureHandlers(engine, parts.erasing, parts.download_links),
        "TrainingService": TrainingHandlers(parts.training, parts.erasing, parts.download_links),
    }
    return {f"afterimage.v1.{service}": handler for service, handler in handlers.items()}
