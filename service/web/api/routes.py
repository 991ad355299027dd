"""From the path of a request to the method that it calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from service.calls.method import Method
from service.web.api.paths import PATHS, Path, served


@dataclass(frozen=True)
class Route:
    """The method that a path calls.

    - `path`: row of the table; None: the path is Connect's.
    - `variables`: request fields in the path, by name; a dot leads into a message.
    """

    method: Method
    path: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether it is a friendly path, whose JSON has the plain form."""
        return self.path is not None


@dataclass(frozen=True)
class Allowed:
    """A path that exists, but not for the HTTP verb of the request. `verbs`: those that it accepts."""

    verbs: tuple[str, ...]


@dataclass(frozen=True)
class _Template:
    path: Path
    method: Method
    segments: tuple[str, ...]  # a variable begins with a brace

    def match(self, segments: Iterable[str]) -> dict[str, str] | None:
        """Returns the variables in these segments, or None if they do not match."""
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
    """Finds the method of a path, among the paths of the table and those of Connect."""

    def __init__(self, paths: Iterable[Path] = PATHS) -> None:
        methods = served()
        self._connect = {method.path: Route(method) for method in methods.values()}
        self._templates: dict[tuple[int, str], list[_Template]] = {}
        for path in paths:
            segments, verb = _split(path.template)
            template = _Template(path, methods[path.rpc], segments)
            self._templates.setdefault((len(segments), verb), []).append(template)

    def find(self, verb: str, raw_path: str) -> Route | Allowed | None:
        """Returns the route of a request; None if there is none. `raw_path`: percent-encoded, without a query."""
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
    """Returns the segments of a path, and the text after a colon in the last one."""
    *first, last = path.removeprefix("/").split("/")
    last, _, custom = last.partition(":")
    return (*first, last), custom
