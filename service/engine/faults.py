"""Converts errors of the index to errors of the API, and logs internal ones."""

from __future__ import annotations

from types import TracebackType

import structlog

from index import (
    AfterimageIndexError,
    AnswerTooLarge,
    CollectionExists,
    CollectionNotFound,
    DataFault,
    DigestMoved,
    FilterSyntaxError,
    InvalidInput,
    OutcomeUnknown,
    QuotaExceeded,
    RecordExists,
    RecordNotFound,
    SavedSearchExists,
    SavedSearchMoved,
    SavedSearchNotFound,
    SnapshotDamaged,
    SnapshotNotFound,
    StoreDamaged,
    StoreUnavailable,
)
from service.errors import Code, Reason, ServiceError
from service.runtime.call_facts import facts, place_in_log
from service.tenancy.database import TenancyError

_LOG = structlog.get_logger(__name__)
_REASONS: dict[type[Exception], Reason] = {
    FilterSyntaxError: Reason.FILTER_INVALID,
    InvalidInput: Reason.ARGUMENT_INVALID,
    RecordExists: Reason.RECORD_EXISTS,
    RecordNotFound: Reason.RECORD_NOT_FOUND,
    CollectionExists: Reason.COLLECTION_EXISTS,
    CollectionNotFound: Reason.COLLECTION_NOT_FOUND,
    SavedSearchNotFound: Reason.SAVED_SEARCH_NOT_FOUND,
    SavedSearchExists: Reason.SAVED_SEARCH_EXISTS,
    SavedSearchMoved: Reason.SAVED_SEARCH_CHANGED,
    DigestMoved: Reason.CONFLICT,
    QuotaExceeded: Reason.QUOTA_EXCEEDED,
    StoreDamaged: Reason.STORE_DAMAGED,
    OutcomeUnknown: Reason.WRITE_OUTCOME_UNKNOWN,
    StoreUnavailable: Reason.STORE_UNAVAILABLE,
    SnapshotNotFound: Reason.SNAPSHOT_NOT_FOUND,
    SnapshotDamaged: Reason.SNAPSHOT_DAMAGED,
    TenancyError: Reason.KEY_INVALID,
}
_RETRY_DELAY_S = {Reason.CONFLICT: 0.05, Reason.STORE_UNAVAILABLE: 1.0, Reason.WRITE_OUTCOME_UNKNOWN: 1.0}


def answer_too_large(why: str) -> ServiceError:
    """The error for an answer that no message can hold, with what to do about it."""
    message = f"{why}; request less: a smaller page, k or number of ids, fewer `fields`, no vectors"
    return ServiceError(Reason.ANSWER_TOO_LARGE, message)


def as_service_error(error: Exception) -> ServiceError:
    """The ServiceError for any exception; of a group, for its first. What is not expected becomes INTERNAL, without
    its text. Whatever has the code INTERNAL is in the log, once, with the ids of the call or run and of the record."""
    if isinstance(error, ExceptionGroup):
        return as_service_error(error.exceptions[0])
    if isinstance(error, ServiceError):
        _log_internal(error, error)
        return error
    if isinstance(error, AnswerTooLarge):
        return answer_too_large(str(error))
    if isinstance(error, DataFault):  # its text names places on the server's disk
        message = f"{error.path.name} {error.problem}; the tenant is not served until the operator repairs it"
        return ServiceError(Reason.STORE_DAMAGED, message)
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            field = error.field if isinstance(error, InvalidInput) else ""
            if field == "filter":
                reason = Reason.FILTER_INVALID
            return ServiceError(reason, str(error), field=field, retry_delay_s=_RETRY_DELAY_S.get(reason))
    if isinstance(error, AfterimageIndexError | OSError):
        return ServiceError(Reason.STORE_UNAVAILABLE, "the store is not available", retry_delay_s=1.0)
    unexpected = ServiceError(Reason.INTERNAL, f"an internal error; search the server's log for it {place_in_log()}")
    _log_internal(unexpected, error)
    return unexpected


def _log_internal(error: ServiceError, cause: Exception) -> None:
    """Once for each call and record: pictures that are encoded together share an error."""
    if error.reason.code is not Code.INTERNAL:
        return
    about = tuple(facts().get(name, "") for name in ("request_id", "run_id", "record_id"))
    if about in error.logged or ("record_id" not in facts() and error.logged):
        return
    error.logged.add(about)
    _LOG.error("internal error", reason=error.reason.name, exc_info=cause, **facts())


class translated_errors:
    """Converts every exception of its block to a ServiceError. A ServiceError passes unchanged.

    Raised from itself, it would be a reference cycle. The frames of the call, and its picture, would then stay in
    memory until the garbage collector runs.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, ServiceError):
            raise as_service_error(error) from error
