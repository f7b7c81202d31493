"""`from snntorch_binary import nn` stands in for `torch.nn`."""

import pytest
import torch
import torch.nn
import torch.nn.functional
import torch.nn.utils.rnn

from snntorch_binary import nn

BINARY = {"Linear", *(f"{kind}{size}d" for kind in ("Conv", "ConvTranspose") for size in (1, 2, 3))}
LAZY = {f"Lazy{name}" for name in BINARY}


def test_every_name_of_torch_is_there_and_only_linear_and_conv_differ():
    names = [name for name in dir(torch.nn) if not name.startswith("_")]
    assert {name for name in names if getattr(nn, name) is not getattr(torch.nn, name)} == BINARY | LAZY


def test_star_import_gives_all_of_them():
    namespace: dict[str, object] = {}
    exec("from snntorch_binary.nn import *", namespace)
    assert namespace["Linear"] is nn.BinaryLinear
    assert namespace["ReLU"] is torch.nn.ReLU
    assert namespace["functional"] is torch.nn.functional
    assert {"Leaky", "SRM", "Synaptic", "TimeFirst", "Module", "Parameter"} <= set(namespace)


@pytest.mark.parametrize("name", sorted(BINARY))
def test_the_four_are_torchs_with_the_same_arguments(name):
    binary, plain = getattr(nn, name), getattr(torch.nn, name)
    assert issubclass(binary, plain)
    arguments = (4, 6) if name == "Linear" else (4, 6, 3)
    layers = [kind(*arguments, bias=False, device="cpu", dtype=torch.float64) for kind in (plain, binary)]
    assert layers[1].latent.shape == layers[0].weight.shape
    assert layers[1].latent.dtype == torch.float64
    assert repr(layers[1]).startswith(repr(layers[0])[:-1].replace(name, f"Binary{name}"))
