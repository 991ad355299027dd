"""Fits a model in a separate process with the lowest priority, so that searches are not delayed and it can be
killed.

Vectors are sent through pipes. Nothing is written to disk.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from service.runtime.child_process import Program, python_module, run_child
from service.training.evaluation import Judgement, TooFewExamples
from service.training.fitting import Fitted, Projection, Shape, fit

_LOWEST = 19
_MODULE = f"{__package__}.fit_process"


async def fit_apart(vectors: NDArray[np.float32], labels: NDArray[np.int64], environment: Mapping[str, str]) -> Fitted:
    """Fits a projection in a separate process with this environment. Cancelling kills the process.

    Raises TooFewExamples, or RuntimeError if the process died.
    """
    given = await asyncio.to_thread(_packed, vectors=vectors, labels=labels)
    program = Program(python_module(_MODULE), environment, lower_priority=_LOWEST)
    status, answer = await run_child(program, given)
    if status != 0:
        raise RuntimeError(f"the training process exited with {status}")
    return await asyncio.to_thread(_to_fitted, answer)


def _to_fitted(answer: bytes) -> Fitted:
    with np.load(io.BytesIO(answer)) as found:
        details = json.loads(str(found["details"]))
        if "too_few" in details:
            raise TooFewExamples(details["too_few"])
        projection = Projection(found["mean"], found["matrix"])
        return Fitted(projection, Shape(**details["shape"]), Judgement(**details["judgement"]), found["strangers"])


def _packed(**arrays: NDArray[np.generic]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def main() -> None:
    """The program of the process: arrays on standard input, a projection on standard output."""
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as given:
        vectors, labels = given["vectors"], given["labels"]
    try:
        found = fit(vectors, labels)
    except TooFewExamples as error:
        answer = _packed(details=np.array(json.dumps({"too_few": str(error)})))
    else:
        details = json.dumps({"shape": asdict(found.shape), "judgement": asdict(found.judgement)})
        answer = _packed(
            mean=found.projection.mean,
            matrix=found.projection.matrix,
            strangers=found.strangers,
            details=np.array(details),
        )
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
