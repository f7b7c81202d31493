"""The number of examples that `energy` divides by, wherever a network has time and examples."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.metrics import energy

T, B = 5, 4


class Loop(nn.Module):
    """Takes time at one dimension and returns it at another; ``None`` returns the sum over time [B, C]."""

    def __init__(self, time_in, time_out, threshold):
        super().__init__()
        self.time_in, self.time_out = time_in, time_out
        self.fc, self.lif = nn.Linear(6, 3), snn.Leaky(beta=0.9, threshold=threshold)

    def forward(self, x):
        mem, found = self.lif.init_leaky(), []
        for t in range(x.shape[self.time_in]):
            spikes, mem = self.lif(self.fc(x.select(self.time_in, t)), mem)
            found.append(spikes)
        return sum(found) if self.time_out is None else torch.stack(found, self.time_out)


@pytest.mark.parametrize("threshold", [0.3, 1e9], ids=["spiking", "silent"])
@pytest.mark.parametrize("time_out", [0, 1, 2, None])
@pytest.mark.parametrize("time_in", [0, 1])
def test_a_loop_counts_its_steps_for_one_example(time_in, time_out, threshold):
    torch.manual_seed(0)
    net = Loop(time_in, time_out, threshold)
    sb.binarize_(net, sb.Sign())
    x = torch.rand((B, T, 6) if time_in else (T, B, 6))
    for form in (net, sb.fuse(net, x), sb.pack(net, x), sb.Ensemble(net, num_members=1)):
        counted = energy(form, x)
        assert counted.batch_size == B
        assert counted.rows[0].dense_macs == T * 6 * 3


@pytest.mark.parametrize("threshold", [0.3, 1e9], ids=["spiking", "silent"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_time_first_layers_in_a_forward_of_their_own(batch_first, threshold):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = sb.nn.Sequential(sb.nn.Linear(6, 3), sb.nn.Leaky(beta=0.9, threshold=threshold))

        def forward(self, x):
            return self.layers(x.transpose(0, 1)).transpose(0, 1) if batch_first else self.layers(x)

    assert energy(Net(), torch.rand((B, T, 6) if batch_first else (T, B, 6))).batch_size == B


def test_images_in_and_images_over_time_out():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.lif = nn.Conv2d(1, 1, 3, padding=1), snn.Leaky(beta=0.9)

        def forward(self, x):
            mem, found = self.lif.init_leaky(), []
            for _ in range(T):
                spikes, mem = self.lif(self.conv(x), mem)
                found.append(spikes)
            return torch.stack(found, 4)

    counted = energy(Net(), torch.ones(B, 1, 8, 8))
    assert counted.batch_size == B
    assert counted.rows[0].dense_macs == T * 64 * 9


def test_what_cannot_be_told_is_asked_for():
    class Pointwise(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(6, 3)

        def forward(self, x):
            return self.fc(x)

    with pytest.raises(ValueError, match="Expected argument `batch_size` to be given where neither"):
        energy(Pointwise(), torch.rand(T, B, 6))
    assert energy(Pointwise(), torch.rand(T, B, 6), batch_size=B).rows[0].dense_macs == T * 6 * 3
    assert energy(Pointwise(), torch.rand(B, 6)).batch_size == B
