"""The program of a sandboxed decoder: pictures in, tensors out. Started by `service.encoder.decode_pool.pool`.

Everything that needs a file is loaded first; then the process is confined, and only then it says that it is ready.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import socket
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from service.encoder.decode_pool.blanks import blank
from service.encoder.manifest import InputSpec
from service.encoder.preprocess import enough_pixels, to_tensor
from service.errors import ServiceError
from service.intake.confinement import confine
from service.intake.decode import DecodeOptions, decode, decode_picture, prepare_opencv
from service.intake.formats import OPTIONAL, SNIFF_BYTES, Format, sniff
from service.intake.limits import PictureLimits

_MAX_MESSAGE = 16 * 1024
_BASE_BYTES, _BYTES_PER_PIXEL = 1 << 30, 32


@dataclass(frozen=True)
class _Area:
    left: float
    top: float
    right: float
    bottom: float


def main() -> None:
    """Answers jobs until the server closes the socket."""
    channel, memory, payload_bytes, result_bytes = (int(a) for a in sys.argv[1:])
    shared = mmap.mmap(memory, payload_bytes + result_bytes)
    payload, result = memoryview(shared)[:payload_bytes], memoryview(shared)[payload_bytes:]
    prepare_opencv()
    with socket.socket(fileno=channel) as server:
        limits = _limits(server.recv(_MAX_MESSAGE))
        _warm_up(limits)
        with open(os.devnull, "wb") as nowhere:  # codecs write warnings, which nobody reads from here on
            os.dup2(nowhere.fileno(), sys.stderr.fileno())
        holds = confine(_BASE_BYTES + _BYTES_PER_PIXEL * limits.max_pixels)
        server.send(json.dumps(holds).encode())
        while message := server.recv(_MAX_MESSAGE):
            kind = sniff(bytes(payload[:SNIFF_BYTES]))
            server.send(json.dumps(_answer(json.loads(message), limits, payload, result)).encode())
            if kind is not None and kind.value in limits.accepted:
                _rinse(kind)


def _answer(job: dict[str, Any], limits: PictureLimits, payload: memoryview, result: memoryview) -> dict[str, Any]:
    try:
        spec = _spec(job["spec"])
        region = _Area(*job["region"]) if job["region"] else None
        options = DecodeOptions(region, enough_pixels(spec), bool(job["partial"]))
        decoded = decode_picture(payload[: job["size"]], limits, options)
        tensor = to_tensor(decoded.pixels, spec)
        np.frombuffer(result, np.uint8)[: tensor.nbytes] = tensor.reshape(-1).view(np.uint8)
    except ServiceError as error:
        return {"reason": error.reason.name, "message": error.message}
    except MemoryError:
        return {"reason": "DECODER_FAILED", "message": "decoding the picture exceeds the memory limit of a decoder"}
    except Exception as error:  # a fault of this program costs one picture, not the decoder
        return {"reason": "DECODER_FAILED", "message": f"the decoder failed on this picture: {type(error).__name__}"}
    notes = [note.name for note in decoded.notes]
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    return {"processor_s": used, "notes": notes, "size": decoded.pixels.shape[:2]}


@lru_cache(64)
def _spec(manifest_input: str) -> InputSpec:
    return InputSpec.model_validate_json(manifest_input)


def _rinse(kind: Format) -> None:
    """Decodes a blank picture in the way of the last one: codecs keep short rows on the stack, which nothing else
    overwrites."""
    decode(blank(kind), PictureLimits(formats=tuple(f.value for f in OPTIONAL)))


def _warm_up(limits: PictureLimits) -> None:
    """Has every codec load what it loads on first use."""
    for name in limits.accepted:
        _rinse(Format(name))


def _limits(message: bytes) -> PictureLimits:
    said = json.loads(message)
    return PictureLimits(**{**said, "formats": tuple(said["formats"])})


if __name__ == "__main__":
    main()
