"""Programs of torch.export and ONNX files: the network's own spikes, for any number of examples."""

import sys
from pathlib import Path

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export import RuntimeExportError, to_onnx, to_torch_export
from snntorch_binary.graph.tree import leaves
from snntorch_binary.inference import run

sys.path.append(str(Path(__file__).parents[1] / "graph"))
from models import MODELS

FORMS = ("loop over time", "Synaptic", "RLeaky and RSynaptic", "residual blocks", "two heads", "one step a call")
MORE = tuple(name for name in MODELS if name not in FORMS)


def made(name):
    torch.manual_seed(0)
    make, sample = MODELS[name]
    net = make().eval()
    sb.binarize_(net, sb.Sign())
    return net, sample()


def answers_of(net, x, name):
    sb.reset(net)
    output = run(net, x, step=True) if name in ("one step a call", "Sequential") else net(x)
    return [leaf for leaf in leaves(output) if isinstance(leaf, torch.Tensor)]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        if bool(((other == 0) | (other == 1)).all()):
            assert torch.equal(one, other)
        else:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:What is exported takes inputs of the shape")
@pytest.mark.parametrize("name", [*FORMS, *(pytest.param(name, marks=pytest.mark.repeated) for name in MORE)])
def test_a_program_answers_as_the_network(name):
    net, x = made(name)
    program = to_torch_export(net, x)
    given = x if isinstance(x, tuple) else (x,)
    with torch.no_grad():
        torch.manual_seed(1)  # one of the forms draws its spikes itself
        theirs = answers_of(net, x, name)
        torch.manual_seed(1)
        assert_same(leaves(program.module()(*given)), theirs)


def small(rule, step=False):
    torch.manual_seed(0)
    neurons = {"step": True, "init_hidden": True} if step else {}
    return nn.Sequential(
        sb.nn.BinaryConv2d(1, 4, 3, padding=1, weight=rule),
        sb.nn.Leaky(beta=0.9, **neurons),
        sb.nn.TimeFirst(nn.MaxPool2d(2)) if not step else nn.MaxPool2d(2),
        nn.Flatten(1 if step else 2),
        sb.nn.BinaryLinear(36, 3, weight=rule),
    ).eval()


def spikes(*shape, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


@pytest.mark.slow
def test_other_numbers_of_examples_the_same_number_of_steps():
    net, x = small(sb.Sign()), spikes(3, 2, 1, 6, 6)
    exported = to_torch_export(net, x)
    program = exported.module()
    more = spikes(3, 9, 1, 6, 6, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(program(more), net(more), rtol=1e-5, atol=1e-5)
    with pytest.raises(Exception, match=r"size|shape|Guard|equal"):
        program(spikes(4, 2, 1, 6, 6))
    assert not any("latent" in name for name in exported.state_dict)


@pytest.mark.slow
def test_a_sample_of_one_example_will_do():
    net, x = small(sb.Sign()), spikes(3, 1, 1, 6, 6)
    more = spikes(3, 7, 1, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(to_torch_export(net, x).module()(more), net(more), rtol=1e-5, atol=1e-5)
    flat = nn.Sequential(sb.nn.BinaryLinear(4, 3), sb.nn.Leaky(beta=0.9))
    with pytest.raises(RuntimeExportError, match="Give a sample of two examples or more"):
        to_torch_export(flat, spikes(1, 1, 4))
    assert to_torch_export(flat, spikes(1, 2, 4)).module()(spikes(1, 9, 4)).shape == (1, 9, 3)


@pytest.mark.slow
def test_a_number_of_examples_that_is_fixed_is_said():
    net, x = made("RLeaky and RSynaptic")
    with pytest.warns(
        UserWarning, match=r"takes inputs of the shape \[\d+, 3, \d+\] only, no other number of examples"
    ):
        program = to_torch_export(net, x)
    with pytest.raises(Exception, match=r"size|shape|Guard|equal"):
        program.module()(torch.cat([x, x], 1))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["mode", "mean", 3])
def test_which_weights(weights):
    net, x = small(sb.Bernoulli()), spikes(3, 2, 1, 6, 6)
    with torch.no_grad():
        net[0].latent.copy_(torch.randn(net[0].latent.shape))
    program = to_torch_export(net, x, weights)
    kind, generator = ("binary", torch.Generator().manual_seed(3)) if weights == 3 else (weights, None)
    with sb.sampled(net, kind, generator), torch.no_grad():
        torch.testing.assert_close(program.module()(x), net(x), rtol=1e-5, atol=1e-5)
    sizes = program.state_dict["0.layer.weight"].abs().unique()
    assert (len(sizes) == 1) == (weights != "mean")
    assert net[0].latent.requires_grad  # left as it was


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", ["loop over time", "convolutions", "one step a call"])
def test_onnxruntime_gives_the_same(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if name == "convolutions":
        net, x = small(sb.Sign()), spikes(5, 3, 1, 6, 6)
    else:
        net, x = made(name)
    to_onnx(net, x, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert given.shape[0] == len(x)  # steps are fixed, examples are not
    assert isinstance(given.shape[1], str)
    more = torch.cat([x, x.flip(1), x], 1)
    answer = [torch.from_numpy(value) for value in session.run(None, {given.name: more.numpy()})]
    with torch.no_grad():
        assert_same(answer, answers_of(net, more, name))
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_what_cannot_be_exported_is_one_sentence():
    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 4), snn.Leaky(beta=0.9)

        def forward(self, x):
            mem, found = self.lif.init_leaky(), []
            for step in x:
                spk, mem = self.lif(self.fc(step), mem)
                if float(spk.sum()) > 1e9:
                    break
                found.append(spk)
            return torch.stack(found)

    with pytest.raises(ValueError, match=r"\.$") as error:
        to_torch_export(Asking(), torch.rand(3, 2, 4))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="Expected argument `weights` to be 'mode', 'mean' or a seed"):
        to_torch_export(small(sb.Sign()), spikes(2, 2, 1, 6, 6), "best")


@pytest.mark.slow
def test_other_answers_are_refused(monkeypatch):
    from snntorch_binary.export import runtimes

    monkeypatch.setattr(runtimes, "_check", lambda *_: runtimes._compare([torch.ones(2)], [torch.zeros(2)]))
    with pytest.raises(RuntimeExportError, match="gives other spikes than the network, by up to 1"):
        to_torch_export(small(sb.Sign()), spikes(2, 2, 1, 6, 6))
