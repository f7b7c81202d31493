"""SpikingJelly's neurons as ours, in a graph and packed, where their equations are the same.

Once with classes of the same names and equations, and once with SpikingJelly itself, where it is installed.
"""

from types import SimpleNamespace

import like_spikingjelly
import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.packed import PackedLayer

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=["alike", "installed"])
def jelly(request):
    """The names of SpikingJelly that are used here."""
    if request.param == "alike":
        return like_spikingjelly
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    return SimpleNamespace(**{**vars(functional), **vars(layer), **vars(neuron), **vars(surrogate)})


class Loop(nn.Module):
    """Layers and neurons of one time step a call, in a loop."""

    def __init__(self, jelly, node):
        super().__init__()
        self.reset_net, self.step_mode_of_all = jelly.reset_net, "s"
        self.net = nn.Sequential(jelly.Linear(12, 16), node(), jelly.Linear(16, 8), node())

    def forward(self, x):
        self.reset_net(self)
        return torch.stack([self.net(x_t) for x_t in x])


class AllSteps(Loop):
    """The same with step_mode "m"."""

    def __init__(self, jelly, node):
        super().__init__(jelly, node)
        jelly.set_step_mode(self.net, "m")

    def forward(self, x):
        self.reset_net(self)
        return self.net(x)


def coarse_(net):
    """Let every sum of a few steps be exact in float32."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 0:
                parameter.copy_((parameter * 16).round() / 8)
    return net


def inputs(steps=6, batch=4):
    return (torch.rand(steps, batch, 12) < 0.5).float()


def gradients(output, net):
    weights = torch.linspace(-1, 1.5, output.numel()).view_as(output)
    return torch.autograd.grad((output * weights).sum(), [*net.parameters()])


OURS = {
    "LIFNode": {},
    "LIFNode, ATan": {"surrogate_function": "ATan"},
    "LIFNode, not decaying": {"decay_input": False, "tau": 4.0},
    "LIFNode, soft": {"v_reset": None},
    "LIFNode, soft, not decaying": {"v_reset": None, "decay_input": False, "v_threshold": 0.75},
    "IFNode": {},
    "IFNode, soft": {"v_reset": None, "v_threshold": 0.5},
    "ParametricLIFNode": {"decay_input": False},
}


def maker(jelly, name, **others):
    options = {"detach_reset": True, "v_threshold": 0.5, **OURS.get(name, {}), **others}
    if isinstance(options.get("surrogate_function"), str):
        options["surrogate_function"] = getattr(jelly, options["surrogate_function"])()
    return lambda: getattr(jelly, name.partition(",")[0])(**options)


@pytest.mark.parametrize("name", OURS)
def test_neurons_of_the_same_equations_are_one_scan(jelly, name):
    torch.manual_seed(0)
    net, x = coarse_(Loop(jelly, maker(jelly, name))), inputs()
    fused = sb.fuse(net, x[:3, :2])
    kind = name.partition(",")[0]
    assert [fused.report[layer] for layer in ("net.1", "net.3")] == [f"{kind}, one scan"] * 2
    answer, before = fused(x), net(x)
    assert 0 < before.sum() < before.numel()
    assert torch.equal(answer, before)
    for ours, theirs in zip(gradients(answer, net), gradients(before, net), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("LIFNode", {"detach_reset": False}, "a gradient through its reset, detach_reset=False"),
        ("LIFNode", {"v_reset": -0.25}, "no time-first form with v_reset=-0.25"),
        (
            "LIFNode",
            {"surrogate_function": "PiecewiseQuadratic"},
            "a surrogate gradient of its own, PiecewiseQuadratic",
        ),
        (
            "ParametricLIFNode",
            {"decay_input": True},
            "a time constant that learns, with decay_input=True or v_reset=None",
        ),
        ("ParametricLIFNode", {"v_reset": None}, "a time constant that learns, with"),
        ("LIFNode", {"tau": 1e20, "v_threshold": 1e-20}, "no time-first form without a leak, where that decays"),
    ],
)
def test_others_stay_what_they_are(jelly, name, options, reason):
    torch.manual_seed(0)
    net, x = Loop(jelly, maker(jelly, name, **{"v_threshold": 0.1, **options})), inputs()
    fused = sb.fuse(net, x[:3, :2])
    assert fused.report["net.1"].startswith(f"{name}, step by step: {reason}")
    answer, before = fused(x), net(x)
    assert torch.equal(answer, before)
    assert before.sum() > 0
    for ours, theirs in zip(gradients(answer, net), gradients(before, net), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", [Loop, AllSteps])
@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize("name", [*OURS, "ParametricLIFNode, soft"])
def test_packed_they_are_ours_whatever_their_gradient(jelly, name, detach_reset, form, tmp_path):
    torch.manual_seed(0)
    soft = {"v_reset": None} if name.endswith("soft") else {}
    net, x = form(jelly, maker(jelly, name, detach_reset=detach_reset, **soft)), inputs()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.4), scale=0.25)
    coarse_(net).eval()
    packed = sb.pack(net, x[:3, :2])
    assert list(packed.report.values()) == ["1 bit a weight, counts spikes"] * 2
    with torch.no_grad():
        before = net(x)
    assert 0 < before.sum() < before.numel()
    assert torch.equal(packed(x), before)
    sb.save_packed(packed, tmp_path / "net")
    assert torch.equal(sb.load_packed(tmp_path / "net")(x), before)


def test_packed_neurons_of_other_equations_stay(jelly, tmp_path):
    net, x = Loop(jelly, maker(jelly, "LIFNode", v_reset=-0.25)), inputs()
    sb.binarize_(net, sb.Sign())
    packed = sb.pack(net.eval(), x)
    with torch.no_grad():
        torch.testing.assert_close(packed(x), net(x))
    with pytest.raises(TypeError, match="A packed file cannot hold a LIFNode"):
        sb.save_packed(packed, tmp_path / "net")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LIFNode", {"surrogate_function": lambda u: (u >= 0).to(u)}),  # a function without attributes
        ("LIFNode", {"tau": 1e20, "v_threshold": 1e-20}),
        ("ParametricLIFNode", {"decay_input": True, "init_tau": 1e9, "v_threshold": 1e-9}),
        ("ParametricLIFNode", {"decay_input": True, "init_tau": 1e9, "v_threshold": 1e-9, "v_reset": None}),
    ],
)
@pytest.mark.parametrize("form", [Loop, AllSteps])
def test_packed_neurons_that_ours_cannot_be_stay_and_answer(jelly, name, options, form):
    torch.manual_seed(0)
    node = maker(jelly, name, **{"v_threshold": 0.5, **options})
    net, x = form(jelly, node), inputs()
    sb.binarize_(net, sb.Sign(), scale=0.25)
    net.eval()
    packed = sb.pack(net, x[:3, :2])
    assert packed.report["net.0"] == "1 bit a weight, counts spikes"
    with torch.no_grad():
        before = net(x)
    assert 0 < before.sum() < before.numel()
    assert torch.equal(packed(x), before)


def test_a_potential_that_packed_neurons_have_by_another_name(jelly):
    class Potentials(Loop):
        def forward(self, x):
            self.reset_net(self)
            return torch.stack([self.net(x_t) + self.net[3].v for x_t in x])

    net = Potentials(jelly, maker(jelly, "LIFNode"))
    sb.binarize_(net, sb.Sign())
    packed = sb.pack(net, inputs())
    with pytest.raises(ValueError, match=r"^A packed network cannot read 'v' of a tensor or of neurons, only one of T"):
        packed(inputs())


class Images(nn.Module):
    """Its layers around its neurons, in either step mode."""

    def __init__(self, jelly, step_mode):
        super().__init__()
        self.reset_net, self.loop = jelly.reset_net, step_mode == "s"
        self.net = nn.Sequential(
            jelly.Conv2d(2, 4, 3, padding=1, bias=False),
            jelly.BatchNorm2d(4),
            jelly.LIFNode(v_threshold=0.5),
            jelly.MaxPool2d(2),
            jelly.Flatten(),
            jelly.Linear(4 * 3 * 3, 5),
            jelly.IFNode(v_reset=None),
        )
        jelly.set_step_mode(self.net, step_mode)

    def forward(self, x):
        self.reset_net(self)
        return torch.stack([self.net(x_t) for x_t in x]) if self.loop else self.net(x)


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_its_layers_are_those_of_torch(jelly, step_mode, tmp_path):
    torch.manual_seed(0)
    net, x = Images(jelly, step_mode), (torch.rand(5, 3, 2, 6, 6) < 0.4).float()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.4), scale=0.5)
    assert {type(module).__name__ for module in net.net} >= {"BinaryConv2d", "BinaryLinear"}
    packed = sb.pack(net.eval(), x)
    assert sum(isinstance(module, PackedLayer) for module in packed.modules()) == 2
    with torch.no_grad():
        before = net(x)
    assert before.sum() > 0
    assert torch.equal(packed(x), before)
    sb.save_packed(packed, tmp_path / "net")
    assert torch.equal(sb.load_packed(tmp_path / "net")(x), before)


def test_layers_in_their_order_without_a_sample():
    jelly = like_spikingjelly
    net = nn.Sequential(jelly.Linear(12, 8), jelly.LIFNode(detach_reset=True), jelly.Linear(8, 3), jelly.LIFNode())
    fused = sb.fuse(net)
    assert fused.report["1"] == "LIFNode, one scan"
    assert fused.report["3"].startswith("LIFNode, step by step: a gradient through its reset")
    assert fused(inputs()).shape == (6, 4, 3)


@pytest.mark.parametrize("form", [Loop, AllSteps, "layers", "images"])
def test_a_hard_reset_becomes_a_node_of_nir(jelly, form):
    """But for a neuron that is exactly at its threshold, where NIR's is silent: that is said, and may be accepted."""
    pytest.importorskip("nir")
    torch.manual_seed(0)
    if form == "images":
        made, x = Images(jelly, "m"), (torch.rand(5, 3, 2, 6, 6) < 0.4).float()
        net = made.net
        net[6] = jelly.IFNode(v_reset=0.0)
    else:
        made = (AllSteps if form == "layers" else form)(jelly, lambda: jelly.LIFNode(tau=2.0, v_reset=0.0))
        net, x = made.net if form == "layers" else made, torch.rand(6, 4, 12)
    if form != Loop:
        jelly.set_step_mode(net, "m")
    sb.binarize_(net, sb.Sign(), scale=0.8)
    with torch.no_grad():
        for bias in (each.bias for each in net.modules() if getattr(each, "bias", None) is not None):
            bias.add_(0.3)
    net.eval()
    with pytest.raises(sb.export.NIRExportError, match="spike_grad of module"):
        sb.export.to_nir(net, x)
    graph = sb.export.to_nir(net, x, allow_lossy=True)
    with torch.no_grad():
        jelly.reset_net(net)
        spikes = net(x)
        assert 0.01 < spikes.mean() < 0.9
        assert torch.equal(sb.export.from_nir(graph)(x), spikes)
