"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch

from snntorch_binary.weights import draw


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random numbers, whichever others run."""
    torch.manual_seed(0)


@pytest.fixture
def real_data():
    """The folder of real data sets, or a skip that says why."""
    folder = os.environ.get("SNNTORCH_BINARY_DATA")
    if not folder:
        pytest.skip("SNNTORCH_BINARY_DATA does not name a folder with the real data sets")
    return Path(folder)


@pytest.fixture
def freeze_noise(monkeypatch):
    """Return a function that fixes the uniform noise of every draw to come."""

    def freeze(uniform):
        monkeypatch.setattr(draw, "_uniform", lambda latent, seed: uniform.to(latent.dtype).clone())

    return freeze
