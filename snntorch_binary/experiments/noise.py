"""Random numbers that a user's code draws without a generator of its own, the same whenever it is run."""

from __future__ import annotations

import random
import sys

import torch


def seed_all(seed: int) -> None:
    """Start the random numbers of torch, of Python and, where it is used, of numpy anew."""
    torch.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
