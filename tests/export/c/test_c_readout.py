"""What a network makes of its outputs: class scores of its own, in C as in Python, or a sentence."""

import host
import loops
import networks
import pytest
import torch

import snntorch_binary as sb


def _refractory(net, x):
    mem1, wait1, mem2, wait2 = (torch.zeros(x.shape[1], size) for size in (9, 9, 4, 4))
    found = []
    for x_t in x:
        mem1 = 0.8 * mem1 + net.fc1(x_t)
        spk1 = (mem1 > 0.2).float() * (wait1 <= 0).float()
        wait1 = torch.where(spk1 > 0, torch.full_like(wait1, 2.0), wait1 - 1)
        mem1 = mem1 * (1 - spk1)
        mem2 = 0.9 * mem2 + net.fc2(spk1)
        spk2 = (mem2 > 0.2).float() * (wait2 <= 0).float()
        wait2 = torch.where(spk2 > 0, torch.full_like(wait2, 2.0), wait2 - 1)
        mem2 = mem2 * (1 - spk2)
        found.append(spk2)
    return torch.stack(found)


@pytest.mark.parametrize(
    "run",
    [
        _refractory,
        lambda net, x: net.spikes(x) * net.spikes(x),
        lambda net, x: 1 - net.spikes(x) * (net.potentials(x) > -0.5).float(),
        lambda net, x: torch.where(net.potentials(x) > 0.1, 1.0, 0.0),
        lambda net, x: torch.where(net.potentials(x) > 0.1, 0.0, 1.0),
    ],
)
def test_products_and_choices_of_spikes_are_spikes(run, tmp_path):
    loops.check(run, loops.sequence(), tmp_path)


@pytest.mark.parametrize(
    "run",
    [
        lambda net, x: (net.spikes(x), net.spikes(x).sum(2), net.potentials(x).exp()),
        lambda net, x: (net.spikes(x), net.potentials(x[:3])),
        lambda net, x: (net.spikes(x), [net.spikes(x[1:2].flip(0)), torch.sigmoid(net.fc1(x))]),
    ],
)
def test_what_is_not_read_needs_no_form(run, tmp_path):
    x = loops.sequence()
    torch.manual_seed(0)
    net = loops.Loop(run).eval()
    packed = sb.pack(net, x)
    device, counts = host.Device(packed, tmp_path, sample=x), net(x)[0].sum(0)
    assert bool(counts.any())
    for example in range(x.shape[1]):
        torch.testing.assert_close(device.run(x[:, example])[0], counts[example])
    with pytest.raises(sb.export.CExportError, match="C cannot express"):
        sb.export.to_c(packed, tmp_path / "c", sample=x, readout="membrane")


def test_an_ensemble_of_refractory_neurons_answers_alike(tmp_path):
    torch.manual_seed(0)
    net = loops.Loop(_refractory, sb.Bernoulli(init_scale=0.4)).eval()
    x = networks.spikes(30, 4, 12, density=0.5)
    packed = sb.pack(sb.Ensemble(net, num_members=5, seed=0), x)
    device, expected = host.Device(packed, tmp_path, sample=x), packed.predict(x)
    for example in range(4):
        device.run(x[:, example])
        answer = device.answer()
        torch.testing.assert_close(answer.probabilities, expected.probs[example], rtol=1e-4, atol=1e-5)
        assert answer.label == int(expected.labels[example])


def _between_thresholds(net, x):
    potentials = net.potentials(x)
    return (potentials > 0.2).float() - (potentials > 0.5).float()


def test_numbers_that_were_spikes_need_a_readout(tmp_path):
    x = loops.sequence()
    packed = loops.packed(_between_thresholds, x)
    said = "`readout` to be 'rate', or `readout_scale` a number, for outputs that were spikes and may be other numbers"
    with pytest.raises(ValueError, match=said):
        sb.export.to_c(packed, tmp_path / "c", sample=x)
    device = host.Device(packed, tmp_path, sample=x, readout="rate")
    counts = packed(x).sum(0)
    assert bool(counts.any())
    for example in range(x.shape[1]):
        torch.testing.assert_close(device.run(x[:, example])[0], counts[example])


@pytest.mark.parametrize(
    "readout",
    [
        lambda out: out.sum(0) / 10,
        lambda out: 2 * out.mean(0),
        lambda out: -out.sum(0),
        lambda out: out.sum(0).view(-1, 4),
        lambda out: out.sum(0).squeeze(),
        lambda out: out.sum(0)[:, [3, 0, 2]],
        lambda out: out.sum(0).flip(1).to(torch.float32),
        lambda out: out.sum(0).to(torch.int64).float(),
        lambda out: out.to(torch.float16).float().sum(0) / out.shape[2],
    ],
)
def test_class_scores(readout, tmp_path):
    loops.check(lambda net, x: readout(net.spikes(x)), loops.sequence(), tmp_path)


@pytest.mark.parametrize(
    "readout",
    [
        lambda out: 10 / (1 + out).sum(0),
        lambda out: 10 - out.sum(0),
        lambda out: out.sum(0) + 1,
        lambda out: torch.relu(out.sum(0)),
        lambda out: torch.cat([out.sum(0), out.mean(0)], 1),
        lambda out: out.sum(0).view(-1, 2, 2).sum(2),
    ],
)
def test_class_scores_without_a_form(readout, tmp_path):
    x = loops.sequence()
    packed = loops.packed(lambda net, x: readout(net.spikes(x)), x)
    with pytest.raises(sb.export.CExportError, match="what is computed of outputs over all time steps"):
        sb.export.to_c(packed, tmp_path / "c", sample=x)
    assert not list(tmp_path.iterdir())
