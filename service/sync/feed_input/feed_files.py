"""Feeds and pictures on the server's disk, in the tenant's folder below `feeds_dir`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from service.errors import Reason, ServiceError
from service.sync.feeds.model import Item, Problem

PREFIX = "file:"
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
# Error codes of `open` for a symbolic link, a socket or a missing device.
_IRREGULAR = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENOTDIR})


class FeedFiles:
    """The files of one tenant."""

    def __init__(self, root: Path | None, max_picture_bytes: int) -> None:
        """`root`: the tenant's folder; None if `feeds_dir` is not set."""
        self._root = root.resolve() if root is not None else None
        self._max_picture_bytes = max_picture_bytes

    def check(self) -> Path:
        """The tenant's folder. Raises ServiceError (URL_FORBIDDEN) if `feeds_dir` is not set."""
        if self._root is None:
            message = "feeds from the server's disk are disabled; the operator can set feeds_dir"
            raise ServiceError(Reason.URL_FORBIDDEN, message, field="url")
        return self._root

    def path(self, url: str) -> Path:
        """Resolves `file:relative/name` to a file or folder, without symbolic links.

        Raises ServiceError (URL_FORBIDDEN, URL_NOT_FOUND).
        """
        root = self.check()
        try:
            found = (root / url.removeprefix(PREFIX).lstrip("/")).resolve()
            there = found.exists()
        except (OSError, ValueError, RuntimeError):  # name too long or invalid, or a cycle of links
            raise _not_found() from None
        if not found.is_relative_to(root):
            raise ServiceError(Reason.URL_FORBIDDEN, "the file is not in this tenant's folder", field="url")
        if not there:
            raise _not_found()
        return found

    def open(self, url: str) -> BinaryIO:
        """Opens a regular file for reading. Raises ServiceError (URL_FORBIDDEN, URL_NOT_FOUND) or OSError."""
        root, found = self.check(), self.path(url)
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            *above, name = found.relative_to(root).parts or (".",)
            for part in above:  # one by one, so that no folder can be replaced by a link in between
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = inner
            file = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=folder
            )
        except OSError as error:
            raise _irregular() if error.errno in _IRREGULAR else error from None
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise _irregular()
        return os.fdopen(file, "rb")

    def picture(self, url: str) -> bytes:
        """The bytes of a picture. Raises ServiceError or OSError."""
        with self.open(url) as file:
            content = file.read(self._max_picture_bytes + 1)
        if len(content) > self._max_picture_bytes:
            message = f"the picture has more than {self._max_picture_bytes} bytes"
            raise ServiceError(Reason.IMAGE_TOO_LARGE, message, field="url")
        return content

    def version(self, url: str) -> str:
        """A text that changes whenever the file does; empty if there is no file."""
        try:
            found = self.path(url).stat()
        except (ServiceError, OSError):
            return ""
        return f"{found.st_mtime_ns}-{found.st_size}"

    def items(self, url: str) -> Iterator[Item | Problem]:
        """Yields the pictures below a folder; a problem for each whose name is not UTF-8.

        The id is the relative name without suffix, the folder's name is an attribute.
        """
        root = self.path(url)
        assert self._root is not None
        for number, path in enumerate(_pictures_below(root), 1):
            name = path.relative_to(root)
            if not _is_text(str(name)):
                yield Problem(number, f"the name {ascii(str(name))[:200]} is not UTF-8; rename the file or its folder")
                continue
            attributes = {"folder": str(name.parent)} if len(name.parts) > 1 else {}
            record_id = str(name.with_suffix(""))
            yield Item(number, record_id, record_id, (f"{PREFIX}{path.relative_to(self._root)}",), attributes)


def _pictures_below(root: Path) -> list[Path]:
    """Sorted paths. Links to folders are not followed, so that nothing is listed twice."""
    named = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    return sorted(path for path in named if path.suffix.lower() in _PICTURES)


def _is_text(name: str) -> bool:
    """Whether a name on the disk is UTF-8: Python stands in for other bytes with what nothing can store or send."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _irregular() -> ServiceError:
    message = "only regular files are read, not pipes, devices, sockets or folders"
    return ServiceError(Reason.URL_FORBIDDEN, message, field="url")


def _not_found() -> ServiceError:
    return ServiceError(Reason.URL_NOT_FOUND, "there is no such file in this tenant's folder", field="url")


def is_file(url: str) -> bool:
    """Whether a picture's link in a feed from the disk is a file: `file:...`, or a name without a scheme."""
    return url.startswith(PREFIX) or "://" not in url
