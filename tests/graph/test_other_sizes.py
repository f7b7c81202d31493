"""Inputs of another size than the sample where time is a later dimension than the second: right, or refused."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.lightning import STBiSNN

LENGTH = 12


class OverLength(nn.Module):
    """[B, C, L]: a convolution over time, whose outputs are the steps of a loop."""

    def __init__(self, stride=1):
        super().__init__()
        self.conv, self.lif = nn.Conv1d(2, 5, 3, padding=1, stride=stride), snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        mem, spikes = self.lif.init_leaky(), []
        for current in self.conv(x).permute(2, 0, 1):
            spk, mem = self.lif(current, mem)
            spikes.append(spk)
        return torch.stack(spikes)


class Clips(nn.Module):
    """[B, C, T, H, W]: an image at each step, and the mean over time."""

    def __init__(self):
        super().__init__()
        self.conv, self.lif = nn.Conv2d(2, 4, 3), snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        mem, out = self.lif.init_leaky(), []
        for t in range(x.shape[2]):
            spk, mem = self.lif(self.conv(x[:, :, t]), mem)
            out.append(spk.mean((2, 3)))
        return torch.stack(out).mean(0)


class FirstSteps(nn.Module):
    """[B, C, L], of which it takes the first five steps, however long it is."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(2, 5), snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        mem, spikes = self.lif.init_leaky(), []
        for t in range(5):
            spk, mem = self.lif(self.fc(x[:, :, t]), mem)
            spikes.append(spk)
        return torch.stack(spikes)


def binary(make, *args):
    torch.manual_seed(0)
    net = make(*args)
    sb.binarize_(net, sb.Sign())
    return net.eval()


@pytest.mark.parametrize("over_time", [sb.fuse, sb.pack])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        ((OverLength,), (4, 2, LENGTH)),
        ((OverLength, 2), (4, 2, LENGTH)),
        ((Clips,), (4, 2, LENGTH, 8, 8)),
    ],
    ids=["length", "strided", "clips"],
)
def test_another_number_of_steps_is_refused(over_time, make, shape):
    net = binary(*make)
    found = over_time(net, torch.rand(shape))
    same = torch.rand(2, *shape[1:])
    assert torch.equal(found(same), net(same))
    for steps in (LENGTH // 2, LENGTH + 1, 5 * LENGTH):
        with pytest.raises(ValueError, match=rf"of size {LENGTH} in dimension 2, as in the sample"):
            found(torch.rand(2, 2, steps, *shape[3:]))


def test_images_of_another_size_are_taken_where_the_graph_does():
    net = binary(Clips)
    found = sb.fuse(net, torch.rand(4, 2, LENGTH, 8, 8))
    assert found.held_sizes == [{2: LENGTH}]
    larger = torch.rand(3, 2, LENGTH, 11, 9)
    assert torch.equal(found(larger), net(larger))


def test_steps_that_a_network_does_not_take_may_be_there():
    net = binary(FirstSteps)
    found = sb.fuse(net, torch.rand(4, 2, LENGTH))
    longer = torch.rand(3, 2, 30)
    assert torch.equal(found(longer), net(longer))


def test_a_packed_file_knows_the_size(tmp_path):
    net = binary(OverLength)
    sb.save_packed(sb.pack(net, torch.rand(4, 2, LENGTH)), tmp_path / "net")
    loaded = sb.load_packed(tmp_path / "net")
    x = torch.rand(3, 2, LENGTH)
    assert torch.equal(loaded(x), net(x))
    with pytest.raises(ValueError, match=rf"of size {LENGTH} in dimension 2, as in the sample"):
        loaded(torch.rand(3, 2, 40))


def test_a_packed_ensemble_knows_the_size():
    net = Clips()
    torch.manual_seed(0)
    sb.binarize_(net, sb.Bernoulli())
    ensemble = sb.Ensemble(net, 3)
    packed = sb.pack(ensemble, torch.rand(4, 2, LENGTH, 8, 8))
    x = torch.rand(2, 2, LENGTH, 8, 8)
    assert torch.allclose(packed.predict(x).probs, ensemble.predict(x).probs)
    with pytest.raises(ValueError, match="in dimension 2, as in the sample"):
        packed.predict(torch.rand(2, 2, 30, 8, 8))


def test_a_lightning_module_takes_batches_of_other_lengths():
    net = Clips()
    torch.manual_seed(0)
    module = STBiSNN(net, num_classes=4).train()
    for steps in (LENGTH, 30):
        x = torch.rand(3, 2, steps, 8, 8)
        answering, *_ = module.over_time.of(x)
        assert (answering is net) == (steps != LENGTH)
        assert torch.equal(answering(x), net(x))
