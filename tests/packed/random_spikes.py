"""Input for the tests of packed inference."""

import torch


def spikes(*shape, density=0.3):
    return (torch.rand(shape) < density).float()
