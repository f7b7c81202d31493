"""Which time steps a network sees and returns: a device sees them one after the other, from the first to the last."""

import loops
import pytest
import torch

import snntorch_binary as sb


def _burn_in(net, x):
    mem1, mem2, found = net.lif1.init_leaky(), net.lif2.init_leaky(), []
    for t in range(x.shape[0]):
        spk1, mem1 = net.lif1(net.fc1(x[t]), mem1)
        spk2, mem2 = net.lif2(net.fc2(spk1), mem2)
        if t >= 2:
            found.append(spk2)
    return torch.stack(found)


@pytest.mark.parametrize(
    "run",
    [
        _burn_in,
        lambda net, x: net.spikes(x)[2:],
        lambda net, x: net.spikes(x)[-3:],
        lambda net, x: net.potentials(x)[2:],
        lambda net, x: net.spikes(x)[2:].sum(0),
        lambda net, x: net.potentials(x)[2:].mean(0),
        lambda net, x: net.spikes(x).flip(0),
    ],
)
def test_outputs_behind_a_burn_in(run, tmp_path):
    device = loops.check(run, loops.sequence(), tmp_path)
    assert device.classes == 4


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda net, x: net.spikes(x)[:3], "outputs of some time steps that are not all behind a burn-in"),
        (lambda net, x: net.spikes(x)[::2], "outputs of some time steps that are not all behind a burn-in"),
        (lambda net, x: net.spikes(x)[:3].sum(0), "a sum or mean over anything but all time steps"),
        (lambda net, x: net.spikes(x.flip(0)), "from the first to the last"),
        (lambda net, x: net.spikes([x[t] for t in reversed(range(len(x)))]), "from the first to the last"),
        (lambda net, x: net.spikes(torch.cat([x[-1:], x[:-1]])), "from the first to the last"),
        (lambda net, x: torch.cat([net.spikes(x), net.spikes(x.flip(0))], 2), "from the first to the last"),
        (lambda net, x: net.spikes([x[0]] * 7), "one time step of the input that is seen at every step"),
        (lambda net, x: _with_feedback(net, [x[0]] * 7), "one time step of the input that is seen at every step"),
    ],
)
def test_other_steps_are_refused(run, said, tmp_path):
    x = loops.sequence()
    with pytest.raises(sb.export.CExportError, match=said):
        sb.export.to_c(loops.packed(run, x), tmp_path / "c", sample=x)
    assert not list(tmp_path.iterdir())


def _with_feedback(net, steps):
    mem1, mem2, spk2, found = net.lif1.init_leaky(), net.lif2.init_leaky(), torch.zeros(len(steps[0]), 4), []
    for x_t in steps:
        spk1, mem1 = net.lif1(net.fc1(x_t) + net.back(spk2), mem1)
        spk2, mem2 = net.lif2(net.fc2(spk1), mem2)
        found.append(spk2)
    return torch.stack(found)


def _from_currents(net, currents):
    mem1, mem2, found = net.lif1.init_leaky(), net.lif2.init_leaky(), []
    for current in currents:
        spk1, mem1 = net.lif1(current, mem1)
        spk2, mem2 = net.lif2(net.fc2(spk1), mem2)
        found.append(spk2)
    return torch.stack(found)


def _of_the_step_before(kept):
    def run(net, x):
        mem1, mem2, found = net.lif1.init_leaky(), torch.zeros(x.shape[1], 4), []
        spk2, trace = torch.zeros(x.shape[1], 4), torch.zeros(x.shape[1], 4)
        for x_t in x:
            found.append({"spikes": spk2, "potentials": mem2, "trace": trace, "both": trace + spk2}[kept])
            spk1, mem1 = net.lif1(net.fc1(x_t), mem1)
            spk2, mem2 = net.lif2(net.fc2(spk1), mem2)
            trace = 0.9 * trace + spk2
        return torch.stack(found)

    return run


@pytest.mark.parametrize("kept", ["spikes", "potentials", "trace", "both"])
def test_outputs_of_the_step_before(kept, tmp_path):
    loops.check(_of_the_step_before(kept), loops.sequence(), tmp_path)


def _own_neurons(net, x):
    mem1, mem2, found = torch.zeros(len(x), 9), torch.zeros(len(x), 4), []
    for _ in range(6):
        mem1 = 0.8 * mem1 + net.fc1(x)
        spk1 = (mem1 > 0.3).float()
        mem1 = mem1 - 0.3 * spk1
        mem2 = 0.9 * mem2 + net.fc2(spk1)
        spk2 = (mem2 > 0.3).float()
        mem2 = mem2 * (1 - spk2)
        found.append(spk2)
    return torch.stack(found)


@pytest.mark.parametrize(
    "run",
    [
        lambda net, x: net.spikes([x] * 6),
        lambda net, x: net.spikes([x] * 6)[2:],
        lambda net, x: _from_currents(net, net.fc1(x).repeat(6, 1, 1)),
        lambda net, x: _from_currents(net, torch.stack([net.fc1(x)] * 6)),
        lambda net, x: _from_currents(net, [net.norm(net.fc1(x)) for _ in range(6)]),
        lambda net, x: _with_feedback(net, [x] * 6),
        lambda net, x: _with_feedback(net, [x] * 6).sum(0),
        lambda net, x: _with_feedback(net, [x] * 6)[5],
        _own_neurons,
    ],
)
def test_one_image_is_shown_as_often_as_the_network_sees_it(run, tmp_path):
    loops.check(run, loops.image(), tmp_path, steps=6)


def test_loops_of_several_numbers_of_steps(tmp_path):
    x = loops.image()
    net = loops.packed(lambda net, x: net.spikes([x] * 6).sum(0) + _with_feedback(net, [x] * 4).sum(0), x)
    with pytest.raises(sb.export.CExportError, match="loops of 6 and of 4 time steps"):
        sb.export.to_c(net, tmp_path / "c", sample=x, time_dim=None)
