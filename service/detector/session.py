"""A detector in memory: a model that turns the tensor of one picture into candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.detector.manifest import DetectorManifest
from service.detector.outputs import Candidates, candidates_of
from service.encoder.preprocess import tensor_shape
from service.encoder.session import first_line, load_model
from service.errors import SettingError


class DetectorSession:
    """Any number of threads may use it at once. It remembers nothing of its pictures."""

    def __init__(self, source: Path | bytes, manifest: DetectorManifest, threads: int, provider: str = "cpu") -> None:
        """Loads the model from the detector's folder, or from its content. threads: cores of one run.

        Raises SettingError where the model does not load, does not fit its manifest, or cannot be run on a picture."""
        self.manifest = manifest
        try:
            model = source if isinstance(source, bytes) else str(source / manifest.model)
            self._session = load_model(model, threads, provider)
        except SettingError:
            raise
        except Exception as error:  # ONNX Runtime raises a class of its own per failure
            raise self._wrong(f"ONNX Runtime cannot load {manifest.model}: {first_line(error)}") from error
        self._batched = self._check_names()
        shape, spec = tensor_shape(manifest.input), manifest.input
        slope = np.linspace(0, 255 if spec.dtype == "uint8" else 1, int(np.prod(shape)))
        try:
            self.detect(slope.reshape(shape).astype(spec.dtype))
        except Exception as error:
            raise self._wrong(f"cannot detect anything: {first_line(error)}") from error

    def detect(self, tensor: NDArray[np.generic]) -> Candidates:
        """The candidates of one picture, as the manifest's `input` describes it, without an axis of the batch.

        May take long: it is called from a thread. Raises ValueError where an output has another shape than the manifest
        states, and what ONNX Runtime raises.
        """
        given = {self.manifest.input.name: tensor[None] if self._batched else tensor}
        outputs = self._session.run(list(self.manifest.output.names), given)
        return candidates_of([np.asarray(output) for output in outputs], self.manifest)

    def _check_names(self) -> bool:
        """Whether the model takes an axis for the batch; those of torchvision take none."""
        spec = self.manifest
        inputs = {i.name: i for i in self._session.get_inputs()}
        outputs = [o.name for o in self._session.get_outputs()]
        if spec.input.name not in inputs:
            raise self._wrong(f"no input {spec.input.name!r}; the model has {sorted(inputs)}")
        if more := sorted(set(inputs) - {spec.input.name}):
            raise self._wrong(f"the model also needs {more}; export it with one input, the picture")
        for name in spec.output.names:
            if name not in outputs:
                raise self._wrong(f"no output {name!r}; the model has {outputs}")
        return len(inputs[spec.input.name].shape) != 3

    def _wrong(self, problem: str) -> SettingError:
        return SettingError(f"detector {self.manifest.id}: {problem}")
