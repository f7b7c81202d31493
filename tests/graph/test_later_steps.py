"""Loops that do something else at a later time step than those that a graph is made of: right, or refused."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

STEPS, FROM = 20, 10


class Loop(nn.Module):
    def __init__(self, batch_first=False):
        super().__init__()
        self.fc, self.lif, self.batch_first = nn.Linear(12, 6), snn.Leaky(beta=0.9, threshold=0.2), batch_first

    def forward(self, x):
        x = x.transpose(0, 1) if self.batch_first else x
        return self.read(x)

    def steps(self, x):
        mem = self.lif.init_leaky()
        for t, x_t in enumerate(x):
            spk, mem = self.lif(self.current(t, self.fc(x_t)), mem)
            mem = self.after(t, mem)
            yield t, spk, mem

    def current(self, t, current):
        return current

    def after(self, t, mem):
        return mem

    def read(self, x):
        return torch.stack([spk for _, spk, _ in self.steps(x)])


class CountsAfterBurnIn(Loop):
    def read(self, x):
        total = torch.zeros(x.shape[1], 6)
        for t, spk, _ in self.steps(x):
            if t >= FROM:
                total = total + spk
        return total


class CountsLast(Loop):
    def read(self, x):
        return torch.stack([spk for _, spk, _ in self.steps(x)][-FROM:]).sum(0)


class MeanOfLastPotentials(Loop):
    def read(self, x):
        return torch.stack([mem for _, _, mem in self.steps(x)])[FROM:].mean(0)


class OtherCurrentLater(Loop):
    def current(self, t, current):
        return current * 2 if t >= FROM else current


class ResetLater(Loop):
    def after(self, t, mem):
        return torch.zeros_like(mem) if t == FROM else mem


class StopsLater(Loop):
    def read(self, x):
        return torch.stack([spk for t, spk, _ in self.steps(x) if t < FROM])


class DetachesLater(Loop):
    def after(self, t, mem):
        return mem.detach() if t % FROM == FROM - 1 else mem


class DetachesLaterInTraining(DetachesLater):
    def after(self, t, mem):
        return super().after(t, mem) if self.training else mem


class DetachesWhatNeuronsKeep(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 6), snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True)

    def forward(self, x):
        self.lif.reset_mem()
        found = []
        for t, x_t in enumerate(x):
            found.append(self.lif(self.fc(x_t)))
            if t % FROM == FROM - 1:
                self.lif.mem = self.lif.mem.detach()
        return torch.stack(found)


class SilentAndResetLater(Loop):
    """Answers nothing whatever it does, as many a network before it has learned."""

    def current(self, t, current):
        return current - 100

    def after(self, t, mem):
        return self.lif.init_leaky() if t % FROM == FROM - 1 else mem


class SilentAndLouderLater(SilentAndResetLater):
    def current(self, t, current):
        return current * (2 if t >= FROM else 1) - 100

    def after(self, t, mem):
        return mem


class SilentAndLouderWhereLong(SilentAndLouderLater):
    def steps(self, x):
        self.factor = 2 if len(x) > FROM else 1
        return super().steps(x)

    def current(self, t, current):
        return current * self.factor - 100


def network(kind, **options):
    torch.manual_seed(0)
    net = kind(**options)
    sb.binarize_(net, sb.Sign())
    return net.eval()


def shown(steps, batch_first=False):
    x = (torch.rand(steps, 4, 12, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    return x.transpose(0, 1) if batch_first else x


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", [CountsAfterBurnIn, CountsLast, MeanOfLastPotentials, StopsLater])
def test_what_is_read_later_is_right(kind, batch_first, make):
    net = network(kind, batch_first=batch_first)
    made = make(net, shown(STEPS, batch_first))
    for steps in (STEPS, STEPS + 7, 3 * STEPS):
        x = shown(steps, batch_first)
        torch.testing.assert_close(made(x), net(x), rtol=1e-6, atol=1e-6)
        assert float(net(x).detach().abs().sum()) > 0


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (OtherCurrentLater, STEPS),
        (ResetLater, STEPS),
        (OtherCurrentLater, 3),
        (ResetLater, 3),
        (StopsLater, 3),
        (CountsAfterBurnIn, 3),
        (CountsLast, 3),
    ],
)
def test_what_a_sample_does_not_show_is_refused(kind, steps, make):
    with pytest.raises(ValueError, match="does not fold over time") as raised:
        make(network(kind), shown(steps))
    assert steps > 3 or "a sample with as many time steps" in str(raised.value)


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
@pytest.mark.parametrize("steps", [6, STEPS])
@pytest.mark.parametrize(
    "kind",
    [DetachesLater, DetachesWhatNeuronsKeep, SilentAndResetLater, SilentAndLouderLater],
)
def test_what_answers_do_not_show_is_refused(kind, steps, make):
    if make is sb.pack and kind in (DetachesLater, DetachesWhatNeuronsKeep):
        net = network(kind)  # which learns nothing: the numbers are the same
        assert torch.equal(make(net, shown(steps))(shown(3 * STEPS)), net(shown(3 * STEPS)))
        return
    with pytest.raises(ValueError, match="does not fold over time"):
        make(network(kind), shown(steps))


def test_a_number_that_depends_on_the_length_is_refused_of_silent_neurons():
    with pytest.raises(ValueError, match="does not fold over time"):
        sb.fuse(network(SilentAndLouderWhereLong), shown(6))


def test_what_is_done_in_training_alone_is_refused():
    with pytest.raises(ValueError, match="does not fold over time"):
        sb.fuse(network(DetachesLaterInTraining), shown(6))


def test_training_goes_on_after_a_burn_in():
    """Gradients of what is counted from the tenth step on are those of the loop."""
    x, labels = shown(STEPS), torch.arange(4)
    loop = network(CountsAfterBurnIn)
    fused = sb.fuse(network(CountsAfterBurnIn), x)
    for net in (loop, fused):
        nn.functional.cross_entropy(net(x), labels).backward()
    assert float(loop.fc.latent.grad.abs().sum()) > 0
    torch.testing.assert_close(fused.fc.latent.grad, loop.fc.latent.grad, rtol=1e-5, atol=1e-7)


class NormOfEachStep(nn.Module):
    """An image that is shown at every step, and a batch norm for each (BNTT)."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 6), snn.Leaky(beta=0.9, threshold=0.2)
        self.norms = nn.ModuleList(nn.BatchNorm1d(6) for _ in range(5))

    def forward(self, x):
        mem, rec = self.lif.init_leaky(), []
        for norm in self.norms:
            spk, mem = self.lif(norm(self.fc(x)), mem)
            rec.append(spk)
        return torch.stack(rec)


def test_a_norm_for_each_step_of_one_image(tmp_path):
    torch.manual_seed(0)
    loop, fused = NormOfEachStep(), NormOfEachStep()
    sb.binarize_(loop, sb.Sign())
    sb.binarize_(fused, sb.Sign())
    with torch.no_grad():
        for step, norm in enumerate(loop.norms):
            norm.weight.fill_(0.5 + 0.2 * step)
    fused.load_state_dict(loop.state_dict())
    x = torch.rand(8, 12, generator=torch.Generator().manual_seed(0))
    fast = sb.fuse(fused, x)
    for net in (loop, fast):
        net.train()(x).square().mean().backward()
    assert float(loop.fc.latent.grad.abs().sum()) > 0
    torch.testing.assert_close(fused.fc.latent.grad, loop.fc.latent.grad, rtol=1e-4, atol=1e-7)
    for ours, theirs in zip(fused.norms, loop.norms, strict=True):
        torch.testing.assert_close(ours.running_var, theirs.running_var)
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    assert torch.equal(fast.eval()(x), loop.eval()(x))
    sb.save_packed(sb.pack(loop, x), tmp_path / "net.packed")
    torch.testing.assert_close(sb.load_packed(tmp_path / "net.packed")(x), loop(x))


class LimitedBurnIn(CountsAfterBurnIn):
    """Takes no more steps than it has positions for."""

    def __init__(self, **options):
        super().__init__(**options)
        self.position = nn.Parameter(torch.randn(STEPS, 1, 12))

    def read(self, x):
        return super().read(x + self.position[: len(x)])


class DrawsAndStops(Loop):
    """Draws numbers, as an encoder does, and reads the first steps only."""

    def read(self, x):
        spikes = [spk for _, spk, _ in self.steps([x_t * (torch.rand_like(x_t) < 0.9) for x_t in x])]
        return torch.stack(spikes[:FROM])


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
@pytest.mark.parametrize("kind", [LimitedBurnIn, DrawsAndStops])
def test_what_takes_no_more_steps_or_draws_is_looked_at_as_well(kind, make):
    net, x = network(kind), shown(STEPS)
    made = make(net, x)
    torch.manual_seed(1)
    expected = net(x)
    torch.manual_seed(1)
    torch.testing.assert_close(made(x), expected, rtol=1e-5, atol=1e-5)


class NormBehindANorm(nn.Module):
    """The mean of what the second norm sees is zero, so that its running mean is rounding alone."""

    def __init__(self):
        super().__init__()
        self.a, self.n1 = nn.Linear(12, 32, bias=False), nn.BatchNorm1d(32)
        self.b, self.n2 = nn.Linear(32, 20, bias=False), nn.BatchNorm1d(20)
        self.lif = snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        mem, rec = self.lif.init_leaky(), []
        for x_t in x:
            spk, mem = self.lif(self.n2(self.b(self.n1(self.a(x_t)))), mem)
            rec.append(spk)
        return torch.stack(rec)


@pytest.mark.parametrize("seed", range(4))
def test_a_running_mean_that_is_rounding_is_no_difference(seed):
    torch.manual_seed(seed)
    net = NormBehindANorm()
    sb.binarize_(net, sb.Sign())
    assert "compared" in sb.fuse(net, torch.rand(6, 8, 12)).proof


class RebindsAMean(Loop):
    """A running mean of its own, in a new tensor at every call."""

    def __init__(self, **options):
        super().__init__(**options)
        self.register_buffer("mean", torch.zeros(12))

    def read(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean((0, 1))
        return super().read(x - self.mean)


def test_a_running_mean_in_a_new_tensor():
    """Right, or refused."""
    net, x = network(RebindsAMean), shown(STEPS)
    with pytest.raises(ValueError, match="does not fold over time"):
        sb.fuse(net, x)


class NeuronsOfEachStep(Loop):
    def __init__(self, **options):
        super().__init__(**options)
        self.neurons = nn.ModuleList(snn.Leaky(beta=0.9, threshold=0.2) for _ in range(STEPS))

    def read(self, x):
        mem, rec = self.neurons[0].init_leaky(), []
        for x_t, neurons in zip(x, self.neurons, strict=True):
            spk, mem = neurons(self.fc(x_t), mem)
            rec.append(spk)
        return torch.stack(rec)


def test_neurons_of_their_own_for_each_step():
    net, x = network(NeuronsOfEachStep), shown(STEPS)
    with torch.no_grad():
        assert torch.equal(sb.fuse(net, x)(x), net(x))
        assert float(net(x).sum()) > 0
