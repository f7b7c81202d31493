"""Masks by the number of the step, as padded sequences of different lengths have them."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

MASKS = {
    "t < lengths": lambda t, lengths, x: (t < lengths).float(),
    "lengths > t": lambda t, lengths, x: (lengths > t).to(x.dtype),
    "lengths >= t + 1": lambda t, lengths, x: lengths.ge(t + 1).float(),
    "where": lambda t, lengths, x: torch.where(lengths <= t, 0.0, 1.0),
    "at the last": lambda t, lengths, x: (lengths == t + 1).float(),
}


class Masked(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.fc, self.lif, self.mask = nn.Linear(8, 6), snn.Leaky(0.9, threshold=0.3), mask

    def forward(self, x, lengths):
        mem, total, steps = self.lif.init_leaky(), 0, []
        for t in range(len(x)):
            spikes, mem = self.lif(self.fc(x[t]), mem)
            spikes = spikes * self.mask(t, lengths, x)[:, None]
            total = total + spikes
            steps.append(spikes)
        return torch.stack(steps), total


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_they_are_those_of_the_loop(mask, make, tmp_path):
    torch.manual_seed(0)
    net = Masked(mask).train(make is sb.fuse)
    sb.binarize_(net, sb.Sign())
    made = make(net, (torch.rand(12, 5, 8).round(), torch.tensor([3, 12, 7, 1, 9])))
    x, lengths = torch.rand(30, 4, 8).round(), torch.tensor([30, 2, 17, 25])
    expected = net(x, lengths)
    assert all(torch.equal(*pair) for pair in zip(made(x, lengths), expected, strict=True))
    assert 0 < float(expected[0].mean().detach()) < 1
    if make is sb.fuse:
        gradients = [torch.autograd.grad(f(x, lengths)[1].square().sum(), net.fc.latent)[0] for f in (net, made)]
        torch.testing.assert_close(*gradients)
        return
    pytest.importorskip("safetensors")
    sb.save_packed(made, tmp_path / "masked.safetensors")
    assert torch.equal(sb.load_packed(tmp_path / "masked.safetensors")(x, lengths)[1], expected[1])


def test_other_numbers_that_change_are_refused():
    net = Masked(lambda t, lengths, x: (lengths > 2 * t).float())
    with pytest.raises(ValueError, match="does not fold over time"):
        sb.fuse(net, (torch.rand(12, 5, 8).round(), torch.tensor([3, 12, 7, 1, 9])))
