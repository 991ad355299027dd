"""What a query process does at the word of the writer: it forgets what was erased, and answers for no tenant that the
writer has stopped serving."""

from __future__ import annotations

import asyncio
import logging

from service.errors import ServiceError
from service.processes.followed_spaces import FollowedSpaces
from service.rpc.forwarding.followers import Standing
from service.rpc.forwarding.internal_server import STANDING_PATH
from service.rpc.forwarding.writer_channel import WriterChannel

_LOG = logging.getLogger(__name__)
_AGAIN_S = 0.2


class Obeying:
    """Of one query process, for one event loop."""

    def __init__(self, number: int, spaces: FollowedSpaces, writer: WriterChannel) -> None:
        """`number`: of the process."""
        self._number, self._spaces, self._writer = number, spaces, writer
        self._done = Standing()

    async def run(self) -> None:
        """Asks the writer for what is to be done, and does it, until it is cancelled."""
        while True:
            try:
                _, wanted = Standing.unpack(
                    await self._writer.ask(STANDING_PATH, self._done.pack(self._number))
                )  # fmt: skip
                self._spaces.stopped_elsewhere = frozenset(wanted.stopped)
                if (wanted.writer, wanted.forgotten) != (self._done.writer, self._done.forgotten):
                    await asyncio.to_thread(self._spaces.forget)
                self._done = wanted
            except ServiceError:  # the writer is being started again
                await asyncio.sleep(_AGAIN_S)
            except Exception as error:  # the next round must follow, or no erasure would ever be certified
                _LOG.warning("could not overwrite in memory what was erased; trying again", exc_info=error)
                await asyncio.sleep(_AGAIN_S)
