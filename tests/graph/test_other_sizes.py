"""Inputs of another size than the sample where time is a later dimension than the second: right, or refused."""

import copy

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
    assert found.held_sizes == [{1: 2, 2: LENGTH}]
    larger = torch.rand(3, 2, LENGTH, 11, 9)
    assert torch.equal(found(larger), net(larger))


def test_a_network_that_is_silent_when_it_is_fused_is_held_too():
    net = binary(Clips)
    net.lif.threshold.fill_(50.0)
    found = sb.fuse(net, torch.rand(4, 2, LENGTH, 8, 8))
    net.lif.threshold.fill_(0.2)
    with pytest.raises(ValueError, match=f"of size {LENGTH} in dimension 2"):
        found(torch.rand(2, 2, 30, 8, 8))


class Windows(nn.Module):
    """[B, L], cut into windows, which are the steps."""

    def __init__(self, length=None):
        super().__init__()
        self.fc, self.lif, self.length = nn.Linear(16, 5), snn.Leaky(beta=0.9, threshold=0.2), length

    def forward(self, x):
        if self.length is not None and x.shape[1] != self.length:
            raise ValueError(f"it takes {self.length}")
        mem, spikes = self.lif.init_leaky(), []
        for window in x.view(len(x), -1, 16).unbind(1):
            spk, mem = self.lif(self.fc(window), mem)
            spikes.append(spk)
        return torch.stack(spikes)


@pytest.mark.parametrize("length", [None, 160], ids=["any", "one"])
def test_steps_that_are_made_of_the_second_dimension(length):
    net = binary(Windows, length)
    found = sb.fuse(net, torch.rand(4, 160))
    x = torch.rand(3, 160)
    assert torch.equal(found(x), net(x))
    with pytest.raises(ValueError, match="of size 160 in dimension 1, as in the sample"):
        found(torch.rand(3, 320))


class Delays(nn.Module):
    """A step for each number of a second argument."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 5), snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x, delays):
        mem, spikes = self.lif.init_leaky(), []
        for delay in delays:
            spk, mem = self.lif(self.fc(x) * delay, mem)
            spikes.append(spk)
        return torch.stack(spikes)


def test_steps_of_another_input():
    net = binary(Delays)
    found = sb.fuse(net, (torch.rand(4, 6), torch.rand(7)))
    x, delays = torch.rand(3, 6), torch.rand(7)
    assert torch.equal(found(x, delays), net(x, delays))
    with pytest.raises(ValueError, match="of size 7 in dimension 0, as in the sample"):
        found(x, torch.rand(20))


class Squares(nn.Module):
    """Images as high as wide."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(2, 5), snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        mem, spikes = self.lif.init_leaky(), []
        for x_t in x:
            both = (x_t + x_t.transpose(-1, -2)).mean((-1, -2))
            spk, mem = self.lif(self.fc(both), mem)
            spikes.append(spk)
        return torch.stack(spikes)


def test_sizes_that_have_to_be_equal_may_change_together():
    net = binary(Squares)
    found = sb.fuse(net, torch.rand(5, 4, 2, 8, 8))
    x = torch.rand(9, 3, 2, 13, 13)
    assert torch.equal(found(x), net(x))


def test_an_input_that_is_empty():
    class Net(Squares):
        def forward(self, x, nothing):
            return super().forward(x)

    net = binary(Net)
    nothing = torch.zeros(0, 2, 3)
    found = sb.fuse(net, (torch.rand(5, 4, 2, 8, 8), nothing))
    x = torch.rand(6, 3, 2, 8, 8)
    assert torch.equal(found(x, nothing), net(x, nothing))


def test_copies_know_the_size():
    found = sb.fuse(binary(OverLength), torch.rand(4, 2, LENGTH))
    assert copy.deepcopy(found).held_sizes == found.held_sizes == [{1: 2, 2: LENGTH}]


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


class WithContext(nn.Module):
    """A sequence [T, B, 20], and what goes with each of its examples [B, 5]."""

    def __init__(self, context_first=False):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.of_context, self.lif = nn.Linear(20, 12), nn.Linear(5, 12), snn.Leaky(beta=0.9, threshold=0.3)
        self.context_first = context_first

    def forward(self, x, context):
        if self.context_first:
            x, context = context, x
        mem, out = self.lif.init_leaky(), []
        for x_t in x:
            spk, mem = self.lif(self.fc(x_t) + self.of_context(context), mem)
            out.append(spk)
        return torch.stack(out)


@pytest.mark.parametrize("batch", [1, 3, 4, 8])
@pytest.mark.parametrize("context_first", [False, True])
def test_the_batch_of_a_sequence_and_of_what_goes_with_it(batch, context_first):
    def given(steps, batch):
        found = (torch.rand(steps, batch, 20).round(), torch.rand(batch, 5))
        return found[::-1] if context_first else found

    net = WithContext(context_first)
    fused = sb.fuse(net, given(6, batch))
    for sizes in ((6, 2), (6, 32), (6, batch)):
        args = given(*sizes)
        expected = net(*args)
        assert torch.equal(fused(*args), expected)
        assert float(expected.detach().sum()) > 0


class UsesSizes(WithContext):
    """What is added depends on numbers of examples, of which some are equal in a sample."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x, context):
        batch = x.shape[1]
        added = {
            "ratio": lambda: context.mean(1, keepdim=True) * (len(context) / context.shape[1]),
            "of both": lambda: self.of_context(context) * len(context) / batch,
            "mean": lambda: self.of_context(context.sum(0, keepdim=True) / len(context)),
            "if equal": lambda: context.mean(1, keepdim=True) * (1.0 if len(context) == context.shape[1] else 3.0),
        }[self.kind]()
        mem, out = self.lif.init_leaky(), []
        for x_t in x:
            _, mem = self.lif(self.fc(x_t) + added, mem)
            out.append(mem)
        return torch.stack(out)


@pytest.mark.parametrize("kind", ["ratio", "of both", "mean", "if equal"])
@pytest.mark.parametrize("sample", [(6, 5), (5, 5), (6, 4)])
def test_numbers_of_examples_are_right_or_refused(kind, sample):
    net = UsesSizes(kind)
    fused = sb.fuse(net, (torch.rand(*sample, 20), torch.rand(sample[1], 5)))
    answered = 0
    for steps in (sample[0], 5, 9):
        for batch in (sample[1], 1, 5, 9):
            for examples in sorted({batch, 1}):
                args = torch.rand(steps, batch, 20), torch.rand(examples, 5)
                try:
                    found = fused(*args)
                except ValueError:
                    continue
                torch.testing.assert_close(found, net(*args))
                answered += 1
    assert answered
