"""From the path of a request to the method that it calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from service.calls.method import Method
from service.web.api.paths import PATHS, Path, served


@dataclass(frozen=True)
class Route:
    """What a path calls. path: of the table; None: it is Connect's. variables: fields that are in the path."""

    method: Method
    path: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether it is a friendly path, whose JSON has the plain form."""
        return self.path is not None


@dataclass(frozen=True)
class Allowed:
    """A path that exists, for other verbs of HTTP than the one that was used."""

    verbs: tuple[str, ...]


@dataclass(frozen=True)
class _Template:
    path: Path
    method: Method
    segments: tuple[str, ...]  # a variable begins with a brace

    def match(self, segments: Iterable[str]) -> dict[str, str] | None:
        """The variables in these segments, or None where they are another path's."""
        found = {}
        for wanted, given in zip(self.segments, segments, strict=True):
            if wanted[0] != "{":
                if wanted != given:
                    return None
                continue
            try:
                value = unquote(given, errors="strict")
            except UnicodeDecodeError:
                return None
            if not value:
                return None
            found[wanted[1:-1]] = value
        return found


class Routes:
    """All paths: those of the table, and Connect's."""

    def __init__(self, paths: Iterable[Path] = PATHS) -> None:
        methods = served()
        self._connect = {method.path: Route(method) for method in methods.values()}
        self._templates: dict[tuple[int, str], list[_Template]] = {}
        for path in paths:
            segments, verb = _split(path.template)
            template = _Template(path, methods[path.rpc], segments)
            self._templates.setdefault((len(segments), verb), []).append(template)

    def find(self, verb: str, raw_path: str) -> Route | Allowed | None:
        """What a request calls. raw_path: as it was sent, without the query string."""
        if connect := self._connect.get(raw_path):
            return connect if verb == "POST" else Allowed(("POST",))
        segments, custom = _split(raw_path)
        verbs = []
        for template in self._templates.get((len(segments), custom), ()):
            variables = template.match(segments)
            if variables is None:
                continue
            if template.path.verb == verb:
                return Route(template.method, template.path, variables)
            verbs.append(template.path.verb)
        return Allowed(tuple(sorted(verbs))) if verbs else None


def _split(path: str) -> tuple[tuple[str, ...], str]:
    """The segments of a path, and what follows a colon in the last one."""
    *first, last = path.removeprefix("/").split("/")
    last, _, custom = last.partition(":")
    return (*first, last), custom
