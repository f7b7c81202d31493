"""Triton's kernels where there is no GPU: run by its interpreter, and compiled for a GPU that is not there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snntorch_binary.kernels import engine, use_engine

HERE = Path(__file__).parent
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def run(*command, **variables):
    """What a command prints, in a process of its own: Triton decides at its import how it runs kernels."""
    done = subprocess.run(
        [sys.executable, *command], env=os.environ | variables, cwd=HERE.parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@needs_triton
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="this is the interpreter")
def test_kernels_are_right_in_the_interpreter():
    files = [str(path) for path in sorted(HERE.glob("test_triton_*.py"))]
    assert len(files) == 3
    printed = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, TRITON_INTERPRET="1")
    assert "passed" in printed
    assert "skipped" not in printed


@pytest.mark.slow
@needs_triton
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")
def test_kernels_compile_for_a_gpu(tmp_path):
    printed = run(str(HERE / "compile_for_a_gpu.py"), TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    compiled = {line.split()[0]: set(line.split()[1:]) for line in printed.splitlines()}
    scans = {name for name in compiled if name.split("_")[1] in ("filter", "leaky", "srm", "refractory")}
    assert len(scans) == 7
    assert set(compiled) - scans == {"_uniform", "_draw", "_step_and_draw", "_find_other", "_linear"}
    for name, instructions in compiled.items():
        assert not any("ftz" in instruction or "approx" in instruction for instruction in instructions), name
        # A product and a sum that become one operation would round once where the twin rounds twice.
        assert name not in scans or not any(instruction.startswith("fma") for instruction in instructions), name
    assert any("mma" in instruction and "f32.f16.f16" in instruction for instruction in compiled["_linear"])


def test_missing_triton_has_a_sentence(monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install .snntorch-binary\[gpu\]"), use_engine("triton"):
        pass


@needs_triton
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter computes on the CPU")
def test_tensors_on_the_cpu_are_left_to_numba():
    import torch

    with use_engine("triton"):
        kernels = engine.compiled("scan", torch.zeros(3))
    assert kernels is engine.compiled("scan", torch.zeros(3))
