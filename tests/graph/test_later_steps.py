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
