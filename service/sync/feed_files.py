"""Feeds and pictures that an operator puts on the server's disk: below `feeds_dir`, in a folder with the tenant's name,
and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from service.errors import Reason, ServiceError
from service.sync.feeds.model import Item

PREFIX = "file:"
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})


class FeedFiles:
    """The files of one tenant."""

    def __init__(self, root: Path | None, max_picture_bytes: int) -> None:
        """`root`: the tenant's folder; None where the server has none."""
        self._root = root.resolve() if root is not None else None
        self._max_picture_bytes = max_picture_bytes

    def check(self) -> Path:
        """The tenant's folder. Raises ServiceError (URL_FORBIDDEN) where the server has none."""
        if self._root is None:
            message = "this server reads no feeds from its disk; its operator can set feeds_dir"
            raise ServiceError(Reason.URL_FORBIDDEN, message, field="url")
        return self._root

    def path(self, url: str) -> Path:
        """The file or folder behind `file:relative/name`. Raises ServiceError (URL_FORBIDDEN, URL_NOT_FOUND)."""
        root = self.check()
        found = (root / url.removeprefix(PREFIX).lstrip("/")).resolve()
        if not found.is_relative_to(root):
            raise ServiceError(Reason.URL_FORBIDDEN, "the file is not in this tenant's folder", field="url")
        if not found.exists():
            raise ServiceError(Reason.URL_NOT_FOUND, "there is no such file in this tenant's folder", field="url")
        return found

    def picture(self, url: str) -> bytes:
        """The bytes of a picture. Raises ServiceError."""
        path = self.path(url)
        if not path.is_file() or path.stat().st_size > self._max_picture_bytes:
            message = f"the picture is no file, or has more than {self._max_picture_bytes} bytes"
            raise ServiceError(Reason.IMAGE_TOO_LARGE, message, field="url")
        return path.read_bytes()

    def version(self, url: str) -> str:
        """Changes whenever the file does; empty where there is none."""
        try:
            found = self.path(url).stat()
        except (ServiceError, OSError):
            return ""
        return f"{found.st_mtime_ns}-{found.st_size}"

    def items(self, url: str) -> Iterator[Item]:
        """The pictures below a folder, by their relative names without suffix; the folder's name is an attribute."""
        root = self.path(url)
        assert self._root is not None
        for number, path in enumerate(sorted(p for p in root.rglob("*") if p.suffix.lower() in _PICTURES), 1):
            name = path.relative_to(root)
            attributes = {"folder": str(name.parent)} if len(name.parts) > 1 else {}
            record_id = str(name.with_suffix(""))
            yield Item(number, record_id, record_id, (f"{PREFIX}{path.relative_to(self._root)}",), attributes)


def is_file(url: str) -> bool:
    """Whether a picture's link in a feed from the disk means a file: `file:...`, or a name without a scheme."""
    return url.startswith(PREFIX) or "://" not in url
