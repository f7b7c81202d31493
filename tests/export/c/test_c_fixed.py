"""Fixed arithmetic: the C does what its simulation does, flips are counted, and too much loss is refused."""

import re

import host
import networks
import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export.c.describe import describe
from snntorch_binary.export.c.fixed import fixed_arithmetic
from snntorch_binary.export.c.numbers import Fixed, Floats
from snntorch_binary.export.c.simulate import Simulation


def _convolutional(members=0):
    rule = sb.Bernoulli()
    layers = [sb.nn.BinaryConv2d(2, 5, 3, padding=1, weight=rule), sb.nn.Leaky(beta=0.9, threshold=0.3)]
    layers += [
        sb.nn.TimeFirst(nn.MaxPool2d(2)),
        nn.Flatten(2),
        sb.nn.BinaryLinear(5 * 9, 4, weight=rule, scale="channel"),
    ]
    net = nn.Sequential(*layers, sb.nn.Synaptic(alpha=0.5, beta=torch.rand(4), threshold=0.2)).eval()
    return sb.pack(sb.Ensemble(net, num_members=members) if members else net), networks.spikes(9, 20, 2, 6, 6)


def _potentials():
    inner = sb.nn.Recurrent(sb.nn.Leaky(beta=0.95, threshold=0.4), sb.nn.BinaryLinear(33, 33))
    net = nn.Sequential(sb.nn.BinaryLinear(20, 33), inner, sb.nn.BinaryLinear(33, 4), sb.nn.SRM(threshold=0.2))
    return sb.pack(net.eval()), networks.spikes(12, 20, 20)


@pytest.mark.parametrize("make", [_convolutional, lambda: _convolutional(3), _potentials])
def test_simulation_in_float32_is_the_packed_network(make):
    torch.manual_seed(1)
    packed, x = make()
    program = describe(packed, x)
    scores = torch.stack([Simulation(program, Floats(), k).scores(x.flatten(2)) for k in range(program.members)])
    expected = networks.scores_by_step(networks.Case(packed, x))
    assert float(expected[-1].mean()) > 0
    assert torch.equal(scores, expected[-1])


@pytest.mark.parametrize("make", [_convolutional, lambda: _convolutional(3), _potentials])
def test_c_computes_what_the_simulation_does(make, tmp_path):
    torch.manual_seed(1)
    packed, x = make()
    labels = torch.randint(0, 4, (20,))
    device = host.Device(packed, tmp_path, sample=x, arithmetic="fixed", data=(x, labels), max_accuracy_loss=1)
    program = describe(packed, x)
    report = fixed_arithmetic(program, x.flatten(2), labels, 1.0)
    flat = x.flatten(2)
    expected = torch.stack([Simulation(program, Fixed(report.point), k).scores(flat) for k in range(program.members)])
    for example in range(4):
        scores = device.run(x[:, example]).float() / 2**report.point
        torch.testing.assert_close(scores, expected[:, example], rtol=0, atol=2.0 ** -(report.point - 4))
    header = (device.folder / "net.h").read_text()
    assert f"int32 with {report.point} binary places" in header
    assert f"{report.flips:,} of {report.spikes:,}" in header


@pytest.mark.parametrize("probabilities", [True, False])
@pytest.mark.parametrize("scale", [None, 0.25])
def test_counts_of_many_more_steps_than_the_data_have(probabilities, scale, tmp_path):
    torch.manual_seed(0)
    net = _always_firing()
    x = networks.spikes(9, 3, 12)
    options = {"arithmetic": "fixed", "data": (x, net(x).mean(0).argmax(-1)), "max_accuracy_loss": 1}
    device = host.Device(net, tmp_path, sample=x, probabilities=probabilities, readout_scale=scale, **options)
    (point,) = re.findall(r"int32 with (\d+) binary places", (device.folder / "net.h").read_text())
    many = networks.spikes(700, 1, 12, density=0.9)
    counts = net(many).sum(0)[0]
    assert float(counts.max()) * 2 ** int(point) > 2**31
    scores = device.run(many[:, 0])[0].double()
    expected = counts.double() * (1 if scale is None else scale / 700)
    torch.testing.assert_close(scores, (expected * 2 ** int(point)).clamp(max=2**31 - 1), rtol=0, atol=2)
    label = (host.ctypes.c_uint32 * 9)()
    device.call("result", label)
    assert label[0] == int(counts.argmax())


def _always_firing():
    front = [sb.nn.BinaryLinear(12, 9), sb.nn.Leaky(beta=0.9, threshold=0.2), sb.nn.BinaryLinear(9, 4)]
    return sb.pack(nn.Sequential(*front, sb.nn.Leaky(beta=0.9, threshold=0.05)).eval())


def test_few_binary_places_flip_spikes(monkeypatch):
    torch.manual_seed(1)
    packed, x = _convolutional()
    program, labels = describe(packed, x), packed(x).sum(0).argmax(-1)
    good = fixed_arithmetic(program, x.flatten(2), labels, 1.0)
    monkeypatch.setattr("snntorch_binary.export.c.fixed._MOST_PLACES", 6)
    bad = fixed_arithmetic(program, x.flatten(2), labels, 1.0)
    assert good.accuracy == 1
    assert bad.point == 6 < good.point
    assert bad.flips > 10 * good.flips


def test_refuses_more_loss_than_is_accepted(monkeypatch, tmp_path):
    torch.manual_seed(1)
    packed, x = _convolutional()
    labels = packed(x).sum(0).argmax(-1)
    monkeypatch.setattr("snntorch_binary.export.c.fixed.Fixed", lambda point: Fixed(1))
    with pytest.raises(
        sb.export.CExportError, match=r"Expected argument `max_accuracy_loss` to be at least .* but got 0.001"
    ):
        sb.export.to_c(packed, tmp_path / "c", sample=x, arithmetic="fixed", data=(x, labels), max_accuracy_loss=0.001)
    assert not list(tmp_path.iterdir())
