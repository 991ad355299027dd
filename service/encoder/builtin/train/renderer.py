"""Makes views from drawn parts and parameters by one compiled kernel: on a GPU, or through a C compiler."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from service.encoder.builtin.train.layout import FLOATS, SOURCES, c_structures
from service.encoder.builtin.train.parts import SIDE
from service.encoder.builtin.train.plan import Plan
from service.encoder.builtin.train.pools import Pools

_KERNEL = Path(__file__).with_name("kernel.c")
_THREADS = 256
_RINGS = ("shapes", "patterns", "grounds", "prints")


class Renderer(Protocol):
    """Renders the views of a plan."""

    def __call__(self, pools: Pools, plan: Plan, seed: int) -> Tensor:
        """bfloat16 (3 g, 3, SIDE, SIDE), RGB of 0 to 1, in channels-last order. `seed`: of the noise."""
        ...


def renderer_for(device: torch.device) -> Renderer:
    """The renderer of a device. Compiles it. Raises OSError where there is no C compiler."""
    return GpuRenderer() if device.type == "cuda" else ProcessorRenderer()


class ProcessorRenderer:
    """Compiles the kernel with `cc`."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            compiled, library = Path(folder) / "kernel.o", Path(folder) / "kernel.so"
            compile_it = ["cc", "-O3", "-march=native", "-ffast-math", "-c", "-fPIC", "-x", "c", "-"]
            subprocess.run([*compile_it, "-o", compiled], input=_source(), text=True, check=True)
            # Linked by a call of its own: with -ffast-math the library, once loaded, would make this thread take the
            # smallest floats for 0 (a start-up object of older GCC).
            link_it = ["cc", "-shared"]
            subprocess.run([*link_it, compiled, "-lm", "-o", library], check=True)
            self._library = ctypes.CDLL(str(library))

    def __call__(self, pools: Pools, plan: Plan, seed: int) -> Tensor:
        """As `Renderer`."""
        painted = self.paint(pools, plan)
        finished = torch.empty(painted.shape, dtype=torch.bfloat16)
        views, _ = _checked(plan)
        pointers = [ctypes.c_void_p(t.data_ptr()) for t in (painted, views, finished)]
        numbers = (ctypes.c_int(SIDE), ctypes.c_uint(seed), ctypes.c_int(len(views)))
        self._library.finish(*pointers, *numbers)
        return finished.permute(0, 3, 1, 2)

    def paint(self, pools: Pools, plan: Plan) -> Tensor:
        """The views without blur and noise: float32 (3 g, SIDE, SIDE, 3)."""
        views, sources = _checked(plan)
        painted = torch.empty(len(views), SIDE, SIDE, 3)
        tensors = [*(pools.ring(name) for name in _RINGS), pools.noises, views, sources, painted]
        pointers = [ctypes.c_void_p(t.data_ptr()) for t in tensors]
        self._library.paint(*pointers, ctypes.c_int(SIDE), ctypes.c_int(len(views)))
        return painted


class GpuRenderer:
    """Compiles the kernel with the run-time compiler of CUDA."""

    def __init__(self) -> None:
        source = "#define GPU 1\n" + _source()
        self._paint = torch.cuda._compile_kernel(source, "paint", nvcc_options=["--use_fast_math"])
        self._finish = torch.cuda._compile_kernel(source, "finish", nvcc_options=["--use_fast_math"])

    def __call__(self, pools: Pools, plan: Plan, seed: int) -> Tensor:
        """As `Renderer`."""
        views, sources = _checked(plan)
        painted = torch.empty(len(views), SIDE, SIDE, 3, device=views.device)
        finished = torch.empty(painted.shape, dtype=torch.bfloat16, device=views.device)
        grid, block = ((SIDE * SIDE + _THREADS - 1) // _THREADS, len(views), 1), (_THREADS, 1, 1)
        rings = [pools.ring(name) for name in _RINGS]
        self._paint(grid=grid, block=block, args=[*rings, pools.noises, views, sources, painted, SIDE])
        self._finish(grid=grid, block=block, args=[painted, views, finished, SIDE, seed])
        return finished.permute(0, 3, 1, 2)


def _source() -> str:
    return f"#define SIDE {SIDE}\n{c_structures()}{_KERNEL.read_text()}"


def _checked(plan: Plan) -> tuple[Tensor, Tensor]:
    views, sources = plan.views.contiguous(), plan.sources.contiguous()
    if views.shape[1:] != (FLOATS,) or sources.shape[1:] != (len(SOURCES),):
        raise ValueError(f"a plan has {FLOATS} numbers and {len(SOURCES)} sources of a view, not {views.shape[1:]} and "
                         f"{sources.shape[1:]}")  # fmt: skip
    return views, sources
