"""From the path of a request to its handler, and the paths of Ximilar's that are not served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from service.errors import Reason, ServiceError
from service.web.ximilar import account, changing, listing, ranking, recognition, searching
from service.web.ximilar.answers import Answer, RecordStream
from service.web.ximilar.exchange import Exchange

Handler = Callable[[Exchange], Awaitable[Answer | RecordStream]]
_PAGE = "docs/ximilar.md"

# Prefixes of similarity search. Which encoder answers depends on the collection.
PREFIXES = (
    "similarity/photos/v2", "photo/search/v2", "similarity/products-new/v2", "similarity/products/v2",
    "similarity/custom/v2", "similarity/fashion-new/v2", "similarity/fashion/v2", "similarity/homedecor/v2",
    "similarity/homedecor-new/v2", "similarity/colors/v2", "image_matching/v2",
)  # fmt: skip

# What lies below these is Ximilar's, but not served: the beginning of a path, and what it offers.
NOT_SERVED: tuple[tuple[str, str], ...] = (
    ("recognition/v2/", "training and administration of recognition"), ("similarity/training/v2/", "training"),
    ("detection/v2/", "object detection"), ("tagging/", "tagging"), ("photo/tags/", "tagging"),
    ("dom_colors/", "dominant colours"), ("ocr/", "text recognition"), ("removebg/", "background removal"),
    ("upscale", "upscaling"), ("flows/", "flows"), ("collectibles/", "collectibles"),
    ("card-grader/", "collectibles"), ("identity/", "identity"), ("product-description/", "description"),
    ("llm/", "language models"), ("account/v2/request", "asynchronous requests"),
    ("account/v2/config", "configuration"), ("product/v2/", "product management"),
    ("similarity/text/", "search by text"), ("custom/v2/", "custom models"), ("annotate/v2/", "annotation"),
)  # fmt: skip
_NOT_SERVED_CALLS: Mapping[str, str] = {
    "search_by_object": "search by object", "detect": "object detection", "visual_hash": "hashing",
    "remove_duplicates": "removal of duplicates", "visualTags": "tagging",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a request calls. prefix, name: see `Target`."""

    handler: Handler
    prefix: str
    name: str = ""


class NotAllowedError(ServiceError):
    """The path takes another method of HTTP, which `allowed` names."""

    def __init__(self, allowed: str) -> None:
        super().__init__(Reason.METHOD_NOT_ALLOWED, f"this path takes {allowed}")
        self.allowed = allowed


class Routes:
    """For one event loop: what pages remember is kept here."""

    def __init__(self) -> None:
        self.calls = _calls(listing.Listing())

    def find(self, verb: str, raw_path: str) -> Found:
        """`raw_path`: below `/ximilar/`, as it was sent. Raises ServiceError (PATH_NOT_FOUND, METHOD_NOT_ALLOWED,
        CALL_NOT_SERVED)."""
        path = unquote(raw_path, errors="replace").strip("/")
        prefix, _, call = path.rpartition("/")
        if prefix in PREFIXES and call in self.calls:
            return _checked(verb, "POST", Found(self.calls[call], prefix))
        if prefix in PREFIXES and call in _NOT_SERVED_CALLS:
            raise _not_served(_NOT_SERVED_CALLS[call])
        if path in SINGLE:
            needed, handler = SINGLE[path]
            return _checked(verb, needed, Found(handler, path))
        if prefix == _TASKS and verb == "GET":
            return Found(recognition.task, prefix, call)
        for beginning, what in NOT_SERVED:
            if f"{path}/".startswith(beginning):
                raise _not_served(what)
        raise ServiceError(Reason.PATH_NOT_FOUND, f"there is no such path; see {_PAGE}")


_TASKS = "recognition/v2/task"
SINGLE: Mapping[str, tuple[str, Handler]] = {
    "recognition/v2/classify": ("POST", recognition.classify),
    "recognition/v2/label": ("GET", recognition.labels),
    "similarity/training/v2/descriptor": ("POST", recognition.descriptor),
    "authorization/v2/authorize": ("POST", account.authorize),
    "account/v2/user": ("GET", account.user),
}


def _calls(records: listing.Listing) -> Mapping[str, Handler]:
    return {
        "insert": changing.insert, "update": changing.update, "delete": changing.delete,
        "deleteByFilter": changing.delete_by_filter,
        "visualKNN": searching.search, "visualTagsKNN": searching.search, "visual_search": searching.search,
        "search": searching.search, "nearDuplicates": searching.near_duplicates, "random": searching.random,
        "visualRankRecords": ranking.rank, "rank_images": ranking.rank,
        "get": listing.get, "allRecords": records.all_records, "ping": account.ping,
    }  # fmt: skip


def _checked(verb: str, allowed: str, found: Found) -> Found:
    if verb != allowed:
        raise NotAllowedError(allowed)
    return found


def _not_served(what: str) -> ServiceError:
    return ServiceError(Reason.CALL_NOT_SERVED, f"{what} is not served by Afterimage; see {_PAGE}")
