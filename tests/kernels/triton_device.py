"""Where Triton's kernels are tested: on a GPU, or by Triton's interpreter on the CPU (see test_triton.py)."""

import importlib.util
import os

import pytest
import torch


def device_or_skip():
    """The device, for the head of a test file, which is skipped where there is none."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed", allow_module_level=True)
    if os.environ.get("TRITON_INTERPRET") == "1":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device; test_triton.py runs this in Triton's interpreter", allow_module_level=True)
    return torch.device("cuda")
