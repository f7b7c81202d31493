"""What the tests of Triton's kernels share."""

import importlib.util
import os

import pytest
import torch


@pytest.fixture(scope="session")
def device():
    """Where Triton's kernels are tested: on a GPU, or by Triton's interpreter on the CPU (see test_triton.py)."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if os.environ.get("TRITON_INTERPRET") == "1":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device; test_triton.py runs this in Triton's interpreter")
    return torch.device("cuda")
