"""All error reasons in one table.

A ServiceError has a Reason, which determines the gRPC code. docs/errors.md lists all of them (a test compares).
service/calls/error_details.py alone converts them to google.rpc.Status.
"""

from __future__ import annotations

import traceback
from enum import Enum, IntEnum
from typing import Self


class Code(IntEnum):
    """Numbers of google.rpc.Code."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Reason(Enum):
    """Why a call, or one record of it, failed. The name is sent as ErrorInfo.reason and never changes."""

    IMAGE_EMPTY = (Code.INVALID_ARGUMENT, 1)
    IMAGE_TOO_LARGE = (Code.INVALID_ARGUMENT, 2)
    IMAGE_FORMAT_UNSUPPORTED = (Code.INVALID_ARGUMENT, 3)
    IMAGE_DAMAGED = (Code.INVALID_ARGUMENT, 4)
    IMAGE_TOO_MANY_PIXELS = (Code.INVALID_ARGUMENT, 5)
    IMAGE_RATIO_TOO_EXTREME = (Code.INVALID_ARGUMENT, 6)
    SOURCE_MISSING = (Code.INVALID_ARGUMENT, 7)
    ARGUMENT_INVALID = (Code.INVALID_ARGUMENT, 8)
    FILTER_INVALID = (Code.INVALID_ARGUMENT, 9)
    FIELD_UNKNOWN = (Code.INVALID_ARGUMENT, 10)
    ENCODER_UNKNOWN = (Code.INVALID_ARGUMENT, 11)
    COLLECTION_NOT_FOUND = (Code.NOT_FOUND, 12)
    RECORD_NOT_FOUND = (Code.NOT_FOUND, 13)
    COLLECTION_EXISTS = (Code.ALREADY_EXISTS, 14)
    RECORD_EXISTS = (Code.ALREADY_EXISTS, 15)
    KEY_MISSING = (Code.UNAUTHENTICATED, 16)
    KEY_INVALID = (Code.UNAUTHENTICATED, 17)
    KEY_REVOKED = (Code.UNAUTHENTICATED, 18)
    SCOPE_MISSING = (Code.PERMISSION_DENIED, 19)
    ENCODER_MISSING = (Code.FAILED_PRECONDITION, 20)
    OVERLOADED = (Code.RESOURCE_EXHAUSTED, 21)
    URL_FETCH_UNAVAILABLE = (Code.UNIMPLEMENTED, 22)
    DEADLINE = (Code.DEADLINE_EXCEEDED, 23)
    CONFLICT = (Code.ABORTED, 24)
    STORE_UNAVAILABLE = (Code.UNAVAILABLE, 25)
    SHUTTING_DOWN = (Code.UNAVAILABLE, 26)
    ENCODER_FAILED = (Code.INTERNAL, 27)
    INTERNAL = (Code.INTERNAL, 28)
    DECODER_FAILED = (Code.INVALID_ARGUMENT, 29)
    DECODE_TIMEOUT = (Code.INVALID_ARGUMENT, 30)
    URL_INVALID = (Code.INVALID_ARGUMENT, 31)
    URL_FORBIDDEN = (Code.PERMISSION_DENIED, 32)
    URL_NOT_FOUND = (Code.NOT_FOUND, 33)
    URL_REFUSED = (Code.FAILED_PRECONDITION, 34)
    URL_UNREACHABLE = (Code.UNAVAILABLE, 35)
    URL_TOO_SLOW = (Code.UNAVAILABLE, 36)
    HOST_BUSY = (Code.UNAVAILABLE, 37)
    QUOTA_EXCEEDED = (Code.RESOURCE_EXHAUSTED, 38)
    SNAPSHOT_NOT_FOUND = (Code.NOT_FOUND, 39)
    SNAPSHOT_DAMAGED = (Code.FAILED_PRECONDITION, 40)
    SOURCE_NOT_FOUND = (Code.NOT_FOUND, 41)
    SOURCE_EXISTS = (Code.ALREADY_EXISTS, 42)
    RUN_NOT_FOUND = (Code.NOT_FOUND, 43)
    RUN_ACTIVE = (Code.FAILED_PRECONDITION, 44)
    RUN_NOT_WAITING = (Code.FAILED_PRECONDITION, 45)
    PLAN_MOVED = (Code.FAILED_PRECONDITION, 46)
    FEED_UNUSABLE = (Code.FAILED_PRECONDITION, 47)
    RATE_EXCEEDED = (Code.RESOURCE_EXHAUSTED, 48)
    KEY_EXPIRED = (Code.UNAUTHENTICATED, 49)
    ACCESS_NOT_FOUND = (Code.NOT_FOUND, 50)
    ACCESS_NOT_WAITING = (Code.FAILED_PRECONDITION, 51)
    REGION_MISMATCH = (Code.FAILED_PRECONDITION, 52)
    PICTURE_NOT_FOUND = (Code.NOT_FOUND, 53)
    PICTURE_DAMAGED = (Code.FAILED_PRECONDITION, 54)
    PICTURES_NOT_SERVED = (Code.FAILED_PRECONDITION, 55)
    LINK_INVALID = (Code.NOT_FOUND, 56)
    LINK_EXPIRED = (Code.PERMISSION_DENIED, 57)
    TRAINING_SET_NOT_FOUND = (Code.NOT_FOUND, 58)
    TRAINING_SET_EXISTS = (Code.ALREADY_EXISTS, 59)
    TRAINING_NOT_FOUND = (Code.NOT_FOUND, 60)
    TRAINING_ACTIVE = (Code.FAILED_PRECONDITION, 61)
    MODEL_NOT_FOUND = (Code.NOT_FOUND, 62)
    MODEL_EXISTS = (Code.ALREADY_EXISTS, 63)
    STORE_DAMAGED = (Code.DATA_LOSS, 64)
    WRITE_OUTCOME_UNKNOWN = (Code.UNAVAILABLE, 65)
    SAVED_SEARCH_NOT_FOUND = (Code.NOT_FOUND, 70)
    SAVED_SEARCH_EXISTS = (Code.ALREADY_EXISTS, 71)
    SAVED_SEARCH_CHANGED = (Code.ABORTED, 72)
    IDEMPOTENCY_KEY_REUSED = (Code.INVALID_ARGUMENT, 73)
    IDEMPOTENCY_KEY_IN_USE = (Code.ABORTED, 74)
    IDEMPOTENCY_OUTCOME_UNKNOWN = (Code.FAILED_PRECONDITION, 75)
    AUTHENTICATIONS_EXCEEDED = (Code.RESOURCE_EXHAUSTED, 80)
    MESSAGE_LATE = (Code.DEADLINE_EXCEEDED, 81)
    ANSWER_TOO_LARGE = (Code.INVALID_ARGUMENT, 82)
    CERTIFICATE_INVALID = (Code.UNAUTHENTICATED, 83)
    ENCODER_UNUSABLE = (Code.FAILED_PRECONDITION, 90)
    QUERY_UNSUPPORTED = (Code.FAILED_PRECONDITION, 91)
    DETECTOR_MISSING = (Code.FAILED_PRECONDITION, 92)
    PATH_NOT_FOUND = (Code.NOT_FOUND, 100)
    METHOD_NOT_ALLOWED = (Code.UNIMPLEMENTED, 101)
    BODY_TOO_LARGE = (Code.INVALID_ARGUMENT, 102)
    MEDIA_TYPE_UNSUPPORTED = (Code.INVALID_ARGUMENT, 103)
    HOST_UNKNOWN = (Code.PERMISSION_DENIED, 104)
    CONNECTION_INSECURE = (Code.PERMISSION_DENIED, 105)
    CALL_NOT_SERVED = (Code.UNIMPLEMENTED, 106)
    SIGNATURE_INVALID = (Code.UNAUTHENTICATED, 107)

    @property
    def code(self) -> Code:
        """The gRPC code of the reason."""
        return self.value[0]


class ServiceError(Exception):
    """An error that is reported to the caller.

    - `field`: the invalid field of the request, if any.
    - `retry_delay_s`: when a retry may succeed, in seconds; None if a retry does not help.
    - `logged`: for service.engine.faults.
    """

    def __init__(self, reason: Reason, message: str, *, field: str = "", retry_delay_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_delay_s = retry_delay_s
        self.logged: set[tuple[str, ...]] = set()  # the calls and records for which it was logged


class SettingError(Exception):
    """An invalid setting, which stops the start. `str()` contains its name and the remedy.

    `settings`: names of the settings to change; empty if no setting is the cause.
    """

    def __init__(self, message: str, settings: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.settings = settings

    @classmethod
    def about(cls, settings: str | tuple[str, ...], problem: str) -> Self:
        """The error for one or several settings. Its text begins with their names."""
        names = (settings,) if isinstance(settings, str) else settings
        return cls(f"{' and '.join(names)}: {problem}", names)


def release_frames(error: BaseException) -> None:
    """Clears the frames of a handled error and of its causes.

    A traceback references all locals of all its frames. If the error is one of them, this is a reference cycle, and the
    request with its picture would stay in memory until the garbage collector runs.
    """
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        cause = link.__cause__ or link.__context__
        link.__traceback__ = link.__cause__ = link.__context__ = None
        link = cause
