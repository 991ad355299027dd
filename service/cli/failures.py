"""Converts errors to messages and exit codes."""

from __future__ import annotations

import sys

from afterimage.client import AfterimageError, InternalError, Unavailable
from index import AfterimageIndexError
from service.cli.output import CommandError, print_json
from service.errors import ServiceError, SettingError


def fail(error: Exception, *, as_json: bool) -> int:
    """Writes why a command failed to stderr and, for scripts, as JSON to stdout. Returns the exit code.

    Raises `error` if it is a bug of the program.
    """
    failure = _as_command_error(error)
    if failure is None:
        raise error
    if as_json:
        print_json({"error": {"reason": failure.reason, "message": str(failure)}})
    print(f"error: {failure}", file=sys.stderr)
    return failure.code


def _as_command_error(error: Exception) -> CommandError | None:
    if isinstance(error, CommandError):
        return error
    if isinstance(error, Unavailable) and not error.reason:
        return CommandError(
            f"{error.message} (check that the server is running and AFTERIMAGE_TARGET is correct)", reason="UNAVAILABLE"
        )
    if isinstance(error, AfterimageError):
        hint = f" (field {error.field})" if error.field and error.field not in error.message else ""
        if isinstance(error, InternalError) and error.request_id and error.request_id not in error.message:
            hint += f" (request id {error.request_id})"
        return CommandError(f"{error.message}{hint}", reason=error.reason or type(error).__name__.upper())
    if isinstance(error, ServiceError):
        return CommandError(error.message, reason=error.reason.name)
    if isinstance(error, SettingError):
        return CommandError(str(error), reason="SETTING_INVALID")
    if isinstance(error, AfterimageIndexError):
        return CommandError(str(error), reason=type(error).__name__.upper())
    if isinstance(error, OSError):
        return CommandError(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), reason="OS_ERROR")
    return None
