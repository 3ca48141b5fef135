"""The merge kernel: compiled, run on a device that numba simulates, and on a real one."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba.cuda
import pytest
import torch
from numba import int32, int64, void
from numba.cuda import compiler, dispatcher
from numba.cuda.cudadrv import nvvm

from stages.tokenization.program import merge_kernel
from stages.tokenization.program.program import Program
from stages.tokenization.vocabulary import load_vocabulary
from tests.stages.tokenization.program.kernel_pieces import PIECES, by_rounds, by_threads

ROOT = Path(__file__).parents[4]


def test_a_simulated_device_merges_as_the_rounds_and_tiktoken_do():
    command = [sys.executable, "-m", "tests.stages.tokenization.program.simulate_kernel"]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("agree\n", 0), done.stderr


@pytest.mark.skipif(not nvvm.is_available(), reason="the compiler of CUDA is not installed")
def test_the_kernel_compiles(monkeypatch):
    """The simulator takes Python that the compiler does not. Without a device numba must be told which there is."""
    if not numba.cuda.is_available():
        for module in (compiler, dispatcher):
            monkeypatch.setattr(module, "get_current_device", lambda: SimpleNamespace(compute_capability=(8, 0)))
    ints, longs = int32[::1], int64[::1]
    signature = void(int64[:, ::1], ints, ints, longs, ints, ints, longs)
    ptx, _ = numba.cuda.compile_ptx(merge_kernel._merge_piece, signature, cc=(8, 0))
    assert ".visible .entry" in ptx
    assert ".f64" not in ptx


def test_without_cuda_the_rounds_merge():
    assert not merge_kernel.kernel_runs_on(torch.device("cpu"))
    assert merge_kernel.kernel_runs_on(torch.device("cuda")) == numba.cuda.is_available()


@pytest.mark.gpu
def test_a_gpu_merges_as_the_rounds_do():
    program = Program(load_vocabulary("cl100k_base"), "cuda")
    assert merge_kernel.kernel_runs_on(program.device), "numba finds no CUDA, or no NVVM; set CUDA_HOME"
    wanted = by_rounds(program, PIECES)
    assert by_threads(program, PIECES) == wanted
    with torch.cuda.stream(torch.cuda.Stream()):
        assert by_threads(program, PIECES) == wanted
