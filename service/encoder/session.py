"""The only module that speaks to ONNX Runtime: a loaded model that turns tensors into vectors."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Since 1.32 the library writes an identifier of the machine into the home directory and reports its use to its maker.
# It asks for this variable once, when it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

from service.encoder.contract import Embedding, Modality, UnsupportedModality
from service.encoder.manifest import Manifest, OutputSpec
from service.encoder.preprocess import tensor_shape
from service.errors import SettingError

_PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu and TensorRT"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}


def check_provider(provider: str) -> None:
    """Raises SettingError where this installation of ONNX Runtime has no such execution provider."""
    name, package = _PROVIDERS[provider]
    offered = onnxruntime.get_available_providers()
    if name not in offered:
        here = ", ".join(p for p, (n, _) in _PROVIDERS.items() if n in offered)
        raise SettingError.about(
            "model_provider", f"{provider} needs {package} instead of onnxruntime; available providers: {here}"
        )


def load_model(model: str | bytes, threads: int, provider: str = "cpu") -> onnxruntime.InferenceSession:
    """A model from a path or from memory, under the settings that every model here runs with: no arena, because it
    keeps the last tensors and with them the last picture. Raises SettingError where the provider does not start here,
    and what ONNX Runtime raises."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = (_PROVIDERS[provider][0], provider_options(provider, threads))
    providers: list[str | tuple[str, dict[str, str]]] = [wanted]
    if provider != "cpu":
        providers.append("CPUExecutionProvider")
    session = onnxruntime.InferenceSession(model, options, providers=providers)
    check_started(session.get_providers(), provider)
    return session


def first_line(error: Exception) -> str:
    """What an error of ONNX Runtime says first; traces follow."""
    return str(error).strip().partition("\n")[0]


def provider_options(provider: str, threads: int) -> dict[str, str]:
    """Options under which an execution provider gives the vectors that others give, with as many threads.

    CUDA would round to TF32, by which vectors move 4e-5 apart, and differ by what is encoded beside them. OpenVINO
    counts threads by itself, and rounds to bfloat16 where the processor has it.
    """
    if provider == "cuda":
        return {"use_tf32": "0"}
    return {"num_of_threads": str(threads), "precision": "ACCURACY"} if provider == "openvino" else {}


def check_started(started: Sequence[str], provider: str) -> None:
    """Raises SettingError where a session runs without the provider: ONNX Runtime falls back to the processor silently,
    such as where it is built for CUDA and the machine has no GPU, driver or library for it."""
    name, package = _PROVIDERS[provider]
    if name not in started:
        raise SettingError.about(
            "model_provider",
            f"{provider} does not start on this machine; check its driver and the libraries that {package} needs",
        )


class EncoderSession:
    """A model in memory: the encoder of kind "onnx"."""

    def __init__(self, source: Path | bytes, manifest: Manifest, threads: int, provider: str = "cpu") -> None:
        """Loads the model from the encoder's folder, or from its content; `threads` is how many cores one run uses.
        Raises SettingError where it does not load or does not fit its manifest."""
        self.manifest = manifest
        try:
            model = source if isinstance(source, bytes) else str(source / manifest.model)
            self._session = load_model(model, threads, provider)
        except SettingError:
            raise
        except Exception as error:  # ONNX Runtime raises a class of its own per failure
            message = f"encoder {manifest.id}: ONNX Runtime cannot load the model: {first_line(error)}"
            raise SettingError(message) from error
        self._fixed_batch = self._check_names()
        self._check_dimension()

    @property
    def modalities(self) -> frozenset[Modality]:
        """Pictures alone."""
        return frozenset({Modality.IMAGE})

    def encode(self, inputs: Sequence[NDArray[np.generic]], modality: Modality) -> list[Embedding]:
        """As `Encoder.encode`: one embedding of each picture."""
        if modality is not Modality.IMAGE:
            raise UnsupportedModality(f"encoder {self.manifest.id} takes no {modality}")
        if not inputs:
            return []
        vectors = self.run(inputs[0][None] if len(inputs) == 1 else np.stack(inputs))
        return [Embedding(vector, number) for number, vector in enumerate(vectors)]

    def trial(self, count: int) -> list[NDArray[np.generic]]:
        """Tensors of the shape and dtype that the model takes: of a picture with a slope of brightness."""
        spec = self.manifest.input
        shape = tensor_shape(spec)
        slope = np.linspace(0, 255 if spec.dtype == "uint8" else 1, int(np.prod(shape)))
        return [slope.reshape(shape).astype(spec.dtype)] * count

    def run(self, tensors: NDArray[np.generic]) -> NDArray[np.float32]:
        """Encodes a batch, shape (n, ...), into L2-normalised float32 vectors, shape (n, dimension).

        Raises ValueError where the model gives something that is not finite.
        """
        if self._fixed_batch is not None and len(tensors) != self._fixed_batch:
            return np.concatenate([self._run(part) for part in self._padded_parts(tensors)])[: len(tensors)]
        return self._run(tensors)

    def _run(self, tensors: NDArray[np.generic]) -> NDArray[np.float32]:
        spec = self.manifest
        output = self._session.run([spec.output.name], {spec.input.name: tensors})[0]
        vectors = _pool(np.asarray(output, np.float32), spec.output, spec.input.layout)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise ValueError(f"encoder {spec.id} returned a vector that is not finite")
        return vectors / np.maximum(norms, 1e-12)  # type: ignore[no-any-return]

    def _padded_parts(self, tensors: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        size = self._fixed_batch or 1
        missing = -len(tensors) % size
        padded = np.concatenate([tensors, np.repeat(tensors[-1:], missing, axis=0)])
        return [padded[i : i + size] for i in range(0, len(padded), size)]

    def _check_names(self) -> int | None:
        spec = self.manifest
        inputs = {i.name: i for i in self._session.get_inputs()}
        outputs = [o.name for o in self._session.get_outputs()]
        if spec.input.name not in inputs:
            raise SettingError(f"encoder {spec.id}: no input {spec.input.name!r}; the model has {sorted(inputs)}")
        if spec.output.name not in outputs:
            raise SettingError(f"encoder {spec.id}: no output {spec.output.name!r}; the model has {outputs}")
        batch = inputs[spec.input.name].shape[0]
        return batch if isinstance(batch, int) else None

    def _check_dimension(self) -> None:
        spec = self.manifest
        try:
            vector = self.run(np.stack(self.trial(1)))[0]
        except Exception as error:
            raise SettingError(f"encoder {spec.id}: cannot encode a picture: {first_line(error)}") from error
        found = len(vector)
        if not vector.any():
            raise SettingError(
                f"encoder {spec.id}: the vector of a picture is all zero; check that the model is complete"
            )
        if found != spec.output.dimension:
            raise SettingError(f"encoder {spec.id}: vectors have {found} dimensions, not {spec.output.dimension}")


def _pool(output: NDArray[np.float32], spec: OutputSpec, layout: str) -> NDArray[np.float32]:
    if spec.pooling == "global_average" and output.ndim == 4:
        return output.mean(axis=(2, 3) if layout == "NCHW" else (1, 2))  # type: ignore[no-any-return]
    if spec.pooling == "cls" and output.ndim == 3:
        return output[:, 0]
    if spec.pooling == "mean_tokens" and output.ndim == 3:
        return output.mean(axis=1)  # type: ignore[no-any-return]
    return output.reshape(len(output), -1)


def quantized_model(model: Path, precision: str, calibration: list[dict[str, NDArray[np.generic]]]) -> bytes:
    """The model with weights and arithmetic in `fp16`, or in `int8` with ranges from the calibration inputs.

    Inputs and outputs keep their types. Raises SettingError where the package onnx is missing or the model cannot be
    converted.
    """
    try:
        import onnx
    except ImportError:
        raise SettingError("this needs the package onnx: pip install onnx") from None
    try:
        with tempfile.TemporaryDirectory() as folder:
            if precision == "fp16":
                from onnxruntime.transformers.float16 import convert_float_to_float16

                return bytes(convert_float_to_float16(onnx.load(model), keep_io_types=True).SerializeToString())
            return _int8(model, Path(folder), calibration)
    except Exception as error:  # the converters raise whatever they stumble over
        raise SettingError(f"{model.name} cannot be converted to {precision}: {error}") from error


def _int8(model: Path, folder: Path, calibration: list[dict[str, NDArray[np.generic]]]) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Inputs(CalibrationDataReader):  # type: ignore[misc]
        """The calibration inputs, one after the other."""

        def __init__(self) -> None:
            self._left = iter(calibration)

        def get_next(self) -> dict[str, NDArray[np.generic]] | None:
            return next(self._left, None)

    prepared, done = folder / "prepared.onnx", folder / "done.onnx"
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared), str(done), Inputs(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=True,
    )  # fmt: skip
    return done.read_bytes()
