"""Downloads a feed into a spool: over HTTP, page by page if the shop has pages, or from the disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import Reason, ServiceError
from service.intake.download.fetch import Fetched, Fetcher, FetchRequest, Validators
from service.intake.download.urls import parse_link
from service.sync.feed_input.feed_files import PREFIX, FeedFiles
from service.sync.feed_input.spool import Spool
from service.sync.feed_input.spooling import SpoolWriter, close_spool, closing_spool, open_spool
from service.sync.feeds.json.items import products_digest
from service.sync.feeds.model import FeedError
from service.sync.source_model import SourceConfig, SourceState

_PAGE_SIZE = 250
_MOST_PAGES = 10_000
_DISK_BLOCK = 1 << 20
_BEGINNING = 4 << 20


@dataclass(frozen=True)
class FetchedFeed:
    """A feed in a spool that the caller must close; `spool` is None if the feed has not changed."""

    spool: Spool | None
    digest: str = ""
    validators: Validators = field(default_factory=Validators)


@dataclass(frozen=True)
class FeedPlace:
    """Where the feeds of a tenant may come from, and where they are spooled."""

    spool_folder: Path
    files: FeedFiles
    allowed_hosts: Collection[str] | None = None


class FeedFetcher:
    """For one event loop. `fetcher` is None if this server does not fetch URLs."""

    def __init__(self, fetcher: Fetcher | None) -> None:
        self._fetcher = fetcher

    async def beginning(self, config: SourceConfig, place: FeedPlace) -> FetchedFeed:
        """The first megabytes of a feed; the whole feed if it is a zip archive. Raises as `fetch` does."""
        head = _Head(await open_spool(place.spool_folder))
        try:
            with contextlib.suppress(_Enough):
                if config.url.startswith(PREFIX):
                    await asyncio.to_thread(_copy, place.files, config.url, head.take)
                else:
                    writer = SpoolWriter(head.take)
                    await self._fetch(
                        FetchRequest(config.url, place.allowed_hosts, Validators(), config.authorization, writer.add)
                    )
                    await writer.flush()
            return FetchedFeed(head.spool, await asyncio.to_thread(head.spool.finish))
        except BaseException:
            await close_spool(head.spool)
            raise

    async def fetch(self, config: SourceConfig, state: SourceState, place: FeedPlace) -> FetchedFeed:
        """Fetches the current feed. If `state` has no validators, the request is unconditional.

        Raises ServiceError, FeedError or OSError.
        """
        spool, validators = await open_spool(place.spool_folder), Validators()
        try:
            if config.url.startswith(PREFIX):
                await asyncio.to_thread(_copy, place.files, config.url, spool.take)
            elif is_paged(config.url):
                await self._pages(config, place, spool)
            else:
                known, writer = Validators(state.etag, state.last_modified), SpoolWriter(spool.take)
                request = FetchRequest(config.url, place.allowed_hosts, known, config.authorization, writer.add)
                found = await self._fetch(request)
                if found.body is None:
                    await close_spool(spool)
                    return FetchedFeed(None)
                await writer.flush()
                validators = found.validators
            return FetchedFeed(spool, await asyncio.to_thread(spool.finish), validators)
        except BaseException:
            await close_spool(spool)
            raise

    async def check(self, url: str, place: FeedPlace) -> None:
        """Raises ServiceError if `fetch` can never succeed for this URL.

        A host that does not resolve, or a file that does not exist, passes, because it may exist later.
        """
        if url.startswith(PREFIX):
            await asyncio.to_thread(place.files.check)
        elif self._fetcher is None:
            raise _not_fetching()
        else:
            await self._fetcher.check(url, place.allowed_hosts)

    async def tell(self, request: FetchRequest) -> None:
        """Sends a request with a body. Raises ServiceError."""
        await self._fetch(request)

    async def close(self) -> None:
        """Closes the connections."""
        if self._fetcher is not None:
            await self._fetcher.close()

    async def _fetch(self, request: FetchRequest) -> Fetched:
        if self._fetcher is None:
            raise _not_fetching()
        return await self._fetcher.fetch(request)

    async def _pages(self, config: SourceConfig, place: FeedPlace, spool: Spool) -> None:
        """Appends Shopify's pages until one is empty or a repetition.

        A shop that ignores the parameter `page` would send the first page forever.
        """
        first, seen = parse_link(config.url), set[bytes]()
        for number in range(1, _MOST_PAGES + 1):
            url = first.with_query({"limit": str(_PAGE_SIZE), "page": str(number)}).text
            async with closing_spool(await open_spool(place.spool_folder)) as page:
                writer = SpoolWriter(page.take)
                request = FetchRequest(url, place.allowed_hosts, Validators(), config.authorization, writer.add)
                await self._fetch(request)
                await writer.flush()
                known = await asyncio.to_thread(_digest_of, page)
                if not known or known in seen:
                    return
                seen.add(known)
                await asyncio.to_thread(_append, page, spool)
        raise FeedError("FEED_TOO_LARGE", f"the shop has more than {_MOST_PAGES} pages")


def _not_fetching() -> ServiceError:
    return ServiceError(Reason.URL_FETCH_UNAVAILABLE, "fetching is disabled on this server (fetch_urls)", field="url")


def is_paged(url: str) -> bool:
    """Whether the feed is read page by page."""
    link = parse_link(url)
    return link.path.endswith("/products.json") and "page" not in link.query_names


class _Enough(Exception):
    """The beginning of the feed is complete."""


class _Head:
    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._first = b""

    def take(self, part: bytes) -> None:
        self._first = (self._first + part)[:2] if len(self._first) < 2 else self._first
        self.spool.take(part)
        if self.spool.size >= _BEGINNING and self._first != b"PK":
            raise _Enough


def _digest_of(page: Spool) -> bytes:
    page.finish()
    reader = page.reader()
    try:
        return products_digest(reader)
    finally:
        reader.detach()  # otherwise the reader would close the page


def _append(page: Spool, spool: Spool) -> None:
    page.seek(0)
    while part := page.read(_DISK_BLOCK):
        spool.take(part)
    spool.take(b"\n")


def _copy(files: FeedFiles, url: str, take: Callable[[bytes], object]) -> None:
    if files.path(url).is_dir():
        return  # a folder is listed when its items are read
    with files.open(url) as file:
        while part := file.read(_DISK_BLOCK):
            take(part)
