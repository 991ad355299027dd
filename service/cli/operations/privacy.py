"""The checks of `afterimage doctor --privacy`: each protection of pictures, and whether it is active on this
machine.

They run in a process started like a server, so that the results are those of a server.
"""

from __future__ import annotations

import asyncio

from service.cli.output import Check
from service.composition.parts import decoders_of
from service.encoder.decode_pool.pool import Decoders
from service.runtime.protections import protections
from service.settings.model import Settings


def privacy_checks(settings: Settings) -> list[Check]:
    """All checks. A missing protection is `failed` if the server promises it, else a `warning`."""
    found = protections(settings, asyncio.run(_of_decoders(settings)))
    return [Check(p.name, p.state, p.detail) for p in found]


async def _of_decoders(settings: Settings) -> dict[str, bool]:
    decoders: Decoders = decoders_of(settings.model_copy(update={"decode_processes": 1}))
    try:
        await decoders.start()
        return decoders.protections
    finally:
        await decoders.close()
