"""Networks of any form, packed as their graph over time, in memory and in a file."""

import json
import sys
from pathlib import Path

import pytest
import snntorch as snn
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.graph.tree import leaves
from snntorch_binary.inference import run
from snntorch_binary.packed import PackedFileError, PackedGraph, PackedLayer
from snntorch_binary.packed.file.save_and_load import _checksum

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))

from models import MODELS

NOT_IN_A_FILE = {"SLSTM": "SLSTM"}


def made(name):
    torch.manual_seed(0)
    make, sample = MODELS[name]
    net = make()
    sb.binarize_(net, sb.Bernoulli())
    return net.eval(), sample()


def answered(net, x, name=""):
    torch.manual_seed(1)
    if name in ("one step a call", "Sequential") and not isinstance(net, PackedGraph):
        return leaves(run(net, x, step=True))
    sb.reset(net)
    return leaves(net(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_packed_saved_and_loaded(name, tmp_path):
    net, x = made(name)
    with torch.no_grad():
        before = answered(net, x, name)
    packed = sb.pack(net, x)
    assert isinstance(packed, PackedGraph)
    weights = {key for key, module in net.named_modules() if hasattr(module, "latent")}
    assert set(packed.report) == weights
    assert sum(isinstance(module, PackedLayer) for module in packed.modules()) == len(packed.report) > 0
    for ours, theirs in zip(answered(packed, x), before, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        if bool((theirs == theirs.round()).all()):
            assert torch.equal(ours, theirs)
    path = tmp_path / "net.safetensors"
    if name in NOT_IN_A_FILE:
        with pytest.raises(TypeError, match=f"A packed file cannot hold a {NOT_IN_A_FILE[name]}"):
            sb.save_packed(packed, path)
        return
    sb.save_packed(packed, path)
    loaded = sb.load_packed(path)
    assert loaded.report == packed.report
    for ours, theirs in zip(answered(loaded, x), answered(packed, x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_which_layers_are_shown_real_numbers_is_found_out(caplog):
    net, x = made("static image, convolutions")
    with caplog.at_level("INFO", logger="snntorch_binary"):
        packed = sb.pack(net, x)
    assert packed.report == {
        "conv1": "1 bit a weight, multiplies real numbers",
        "conv2": "1 bit a weight, counts spikes",
        "fc1": "1 bit a weight, counts spikes",
    }
    assert "'conv1': 1 bit a weight, multiplies real numbers" in caplog.text
    assert sb.pack(net, x.round()).report["conv1"] == "1 bit a weight, counts spikes"
    packed = sb.pack(net, x.round(), real_input=["conv1"])
    assert packed.report["conv1"] == "1 bit a weight, multiplies real numbers"
    with pytest.raises(ValueError, match="names of binary layers"):
        sb.pack(net, x, real_input=["lif1"])


@pytest.mark.slow
def test_sums_of_spikes_are_no_spikes():
    net, x = made("residual blocks")
    report = sb.pack(net, x).report
    assert report["block1.conv2"] == "1 bit a weight, counts spikes"
    assert report["fc"] == "1 bit a weight, multiplies real numbers"  # means over positions


def test_a_fused_network_is_packed_too_and_left_as_it_was():
    net, x = made("two heads")
    fused = sb.fuse(net, x).eval()
    packed = sb.pack(fused)
    for ours, theirs in zip(answered(packed, x), answered(fused, x), strict=True):
        assert torch.equal(ours, theirs)
    assert type(net.fc).__name__ == "BinaryLinear"


def test_a_fused_network_inside_of_another_is_packed_too():
    net, x = made("feedback")
    around = nn.Sequential(sb.fuse(net, x)).eval()
    packed = sb.pack(around, x)
    assert set(packed.report) == {f"0.{name}" for name in sb.pack(net, x).report}
    with torch.no_grad():
        before = around(x)
    for ours, theirs in zip(leaves(packed(x)), leaves(before), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


class Images(nn.Module):
    """Convolutions, a batch norm, pooling and a linear layer, in a loop."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = sb.nn.BinaryConv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.lif1, self.pool1 = snn.Leaky(beta=0.9, threshold=0.3), nn.MaxPool2d(2)
        self.conv2, self.lif2 = sb.nn.BinaryConv2d(5, 70, 3), snn.Synaptic(alpha=0.5, beta=0.9, threshold=0.3)
        self.fc, self.lif3 = sb.nn.BinaryLinear(280, 4), snn.Leaky(beta=0.9, threshold=0.3, graded_spikes_factor=2.0)

    def forward(self, x):
        mem1, (syn2, mem2), mem3, rec = self.lif1.init_leaky(), self.lif2.init_synaptic(), self.lif3.init_leaky(), []
        for x_t in x:
            spk, mem1 = self.lif1(self.norm1(self.conv1(x_t)), mem1)
            spk, syn2, mem2 = self.lif2(self.conv2(self.pool1(spk)), syn2, mem2)
            spk, mem3 = self.lif3(self.fc(spk.flatten(1)), mem3)
            rec.append(spk)
        return torch.stack(rec)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_layers_and_their_neurons_are_one_pass_and_hand_on_bits(engine, tmp_path):
    torch.manual_seed(0)
    net, x = Images(), (torch.rand(6, 3, 2, 8, 8) < 0.4).float()
    for _ in range(3):
        net(x)
    packed = sb.pack(net.eval(), x[:3, :2])
    layers = {module.name: module for module in packed.modules() if isinstance(module, PackedLayer)}
    assert {name: (layer.neuron is not None, layer.packed_output) for name, layer in layers.items()} == {
        "conv1": (True, True),
        "conv2": (True, True),
        "fc": (False, False),  # graded spikes are no bits
    }
    assert layers["conv1"].norm_scale is not None
    with torch.no_grad():
        before = net(x)
    assert set(before.unique().tolist()) == {0, 2}
    assert torch.equal(packed(x), before)
    sb.save_packed(packed, tmp_path / "net")
    assert torch.equal(sb.load_packed(tmp_path / "net")(x), before)


class Named(nn.Module):
    """Two layers with neurons and a buffer in a loop, under given names."""

    def __init__(self, first, second, neuron, buffer):
        super().__init__()
        self.paths = first, second, neuron, buffer
        self.first_, self.second_ = sb.nn.BinaryLinear(12, 9, scale=0.25), sb.nn.BinaryLinear(9, 12, scale=0.25)
        for path, module in zip(self.paths, (self.first_, self.second_, snn.Leaky(0.5, threshold=0.25)), strict=False):
            owner = self
            for part in path.split(".")[:-1]:
                owner = owner._modules.setdefault(part, nn.Module())
            owner.add_module(path.rpartition(".")[2], module)
        del self.first_, self.second_
        self.register_buffer(buffer, (torch.arange(12.0) % 3 - 1) / 2)

    def forward(self, x):
        first, second, neuron = (self.get_submodule(path) for path in self.paths[:3])
        mem, outputs = torch.zeros(1), []
        for x_t in x:
            spikes, mem = neuron(first(x_t), mem)
            outputs.append(second(spikes) + self.get_buffer(self.paths[3]))
        return torch.stack(outputs)


@pytest.mark.parametrize(
    "names",
    [
        ("fc.1", "fc_1", "lif", "gain"),
        ("fc", "lif_over_time", "lif", "gain"),
        ("fc", "a.b", "lif", "a_b"),
        ("output", "instructions", "input", "_last"),
        ("extra.repr", "register.buffer", "_done", "training_"),
        ("bits_0", "function_2", "function_1", "bits_1"),
        ("fc-1", "fc 1", "fc/1", "straße"),
        ("a" * 300, "a" * 301, "b", "c" * 300),
    ],
)
def test_names_of_modules_and_tensors_are_kept_apart(names, tmp_path):
    torch.manual_seed(0)
    net, x = Named(*names), (torch.rand(6, 3, 12) < 0.4).float()
    packed = sb.pack(net.eval(), x[:3, :2])
    assert set(packed.report) == set(names[:2])
    with torch.no_grad():
        before = net(x)
    assert len(before.unique()) > 3
    assert torch.equal(packed(x), before)
    sb.save_packed(packed, tmp_path / "net")
    assert torch.equal(sb.load_packed(tmp_path / "net")(x), before)


class Dropping(nn.Module):
    def __init__(self, dropped):
        super().__init__()
        self.fc1, self.fc2 = sb.nn.BinaryLinear(16, 8, scale=0.25), sb.nn.BinaryLinear(8, 5, scale=0.25)
        self.lif, self.dropped = snn.Leaky(0.5, threshold=0.25), dropped

    def forward(self, x):
        mem, outputs = torch.zeros(1), []
        for x_t in x:
            spikes, mem = self.lif(self.fc1(x_t), mem)
            outputs.append(self.fc2(self.dropped(self, spikes)))
        return torch.stack(outputs)


@pytest.mark.parametrize(
    ("dropped", "what"),
    [
        (lambda net, x: F.dropout(x), "multiplies real numbers"),
        (lambda net, x: F.dropout(x, 0.5, True), "multiplies real numbers"),
        (lambda net, x: torch.dropout(x, 0.5, True), "multiplies real numbers"),
        (lambda net, x: F.dropout(x, training=False), "counts spikes"),
        (lambda net, x: torch.dropout(x, 0.5, False), "counts spikes"),
        (lambda net, x: F.dropout(x, training=net.training), "counts spikes"),
    ],
)
def test_spikes_that_are_dropped_in_evaluation_too_are_no_spikes(dropped, what):
    """Those that stay are twice as large."""
    torch.manual_seed(0)
    net, x = Dropping(dropped).eval(), (torch.rand(6, 3, 16) < 0.4).float()
    packed = sb.pack(net, x[:3, :2])
    assert packed.report["fc2"] == f"1 bit a weight, {what}"
    if what == "counts spikes":
        with torch.no_grad():
            assert torch.equal(packed(x), net(x))
    else:
        net.dropped = lambda net, x: x
        torch.manual_seed(1)
        answers = packed(x.repeat(1, 4000, 1)).view(6, 4000, 3, 5)
        with torch.no_grad():
            torch.testing.assert_close(answers.mean(1), net(x), rtol=0.05, atol=0.06)


def test_a_layer_that_is_shown_spikes_and_inside_of_a_step_real_numbers():
    class Feedback(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = sb.nn.BinaryLinear(16, 16, scale=0.25)

        def forward(self, x):
            hidden, outputs = torch.zeros(x.shape[1], 16), []
            for x_t in x:
                hidden = torch.tanh(self.fc(x_t) + 0.25 * self.fc(hidden))
                outputs.append(hidden)
            return torch.stack(outputs)

    torch.manual_seed(0)
    net, x = Feedback().eval(), (torch.rand(6, 3, 16) < 0.4).float()
    packed = sb.pack(net, x[:3, :2])
    assert packed.report == {"fc": "1 bit a weight, multiplies real numbers"}
    with torch.no_grad():
        torch.testing.assert_close(packed(x), net(x))


class Between(Images):
    """With modules that do nothing in evaluation mode between all parts, and a way to flatten."""

    def __init__(self, flatten):
        super().__init__()
        self.flatten, self.idle, self.drop1, self.drop2 = flatten, nn.Identity(), nn.Dropout(), nn.Dropout2d()
        self.lif3 = snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, (syn2, mem2), mem3, rec = self.lif1.init_leaky(), self.lif2.init_synaptic(), self.lif3.init_leaky(), []
        for x_t in x:
            spk, mem1 = self.lif1(self.idle(self.norm1(self.idle(self.conv1(x_t)))), mem1)
            spk, syn2, mem2 = self.lif2(self.idle(self.conv2(self.pool1(self.drop2(spk)))), syn2, mem2)
            spk, mem3 = self.lif3(self.drop1(self.fc(self.drop1(self.flatten(self.drop1(spk))))), mem3)
            rec.append(spk)
        return torch.stack(rec)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "flatten", [lambda x: torch.flatten(x, start_dim=1), lambda x: x.flatten(1, -1), lambda x: torch.flatten(x, 1)]
)
def test_modules_that_do_nothing_keep_nothing_apart(flatten, tmp_path):
    torch.manual_seed(0)
    net, x = Between(flatten), (torch.rand(6, 3, 2, 8, 8) < 0.4).float()
    for _ in range(3):
        net(x)
    packed = sb.pack(net.eval(), x[:3, :2])
    layers = {module.name: module for module in packed.modules() if isinstance(module, PackedLayer)}
    assert {name: (layer.neuron is not None, layer.packed_output) for name, layer in layers.items()} == {
        "conv1": (True, True),
        "conv2": (True, True),
        "fc": (True, False),
    }
    with torch.no_grad():
        before = net(x)
    assert 0 < before.sum() < before.numel()
    assert torch.equal(packed(x), before)
    sb.save_packed(packed, tmp_path / "net")
    assert torch.equal(sb.load_packed(tmp_path / "net")(x), before)


def test_spikes_that_something_else_sees_are_no_bits():
    class Seen(Dropping):
        def forward(self, x):
            mem, outputs = torch.zeros(1), []
            for x_t in x:
                spikes, mem = self.lif(self.fc1(x_t), mem)
                outputs.append(self.fc2(self.dropped(self, spikes).flatten(1)) + spikes.sum())
            return torch.stack(outputs)

    torch.manual_seed(0)
    net, x = Seen(lambda net, x: net.drop(x)), (torch.rand(6, 3, 16) < 0.4).float()
    net.drop = nn.Dropout()
    packed = sb.pack(net.eval(), x[:3, :2])
    with torch.no_grad():
        assert torch.equal(packed(x), net(x))


@pytest.mark.slow
def test_neurons_whose_potential_is_used_stay_apart():
    net, x = made("hidden states")
    packed = sb.pack(net, x)
    layers = {module.name: module for module in packed.modules() if isinstance(module, PackedLayer)}
    assert [layers[name].neuron is not None for name in ("net.0", "net.2")] == [True, False]


@pytest.mark.parametrize("index", [0, -1, slice(2, 4)])
def test_sequences_of_our_own_neurons(index):
    """A part of their spikes is no state that a scan gives."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.lif1 = sb.nn.BinaryLinear(12, 20), sb.nn.Leaky(beta=0.9, threshold=0.3)
            self.fc2 = sb.nn.BinaryLinear(20, 4)

        def forward(self, x):
            spikes = self.lif1(self.fc1(x))
            return self.fc2(spikes), spikes[index]

    torch.manual_seed(0)
    net, x = Net().eval(), (torch.rand(6, 3, 12) < 0.5).float()
    packed = sb.pack(net, x)
    for ours, theirs in zip(packed(x), net(x), strict=True):
        assert torch.equal(ours, theirs)
    assert packed.report == dict.fromkeys(("fc1", "fc2"), "1 bit a weight, counts spikes")


def test_other_sizes_than_the_samples():
    net, x = made("feedback")
    packed = sb.pack(net, x)
    for more in (torch.cat([x, x]), torch.cat([x, x], 1), x[:2, :1]):
        for ours, theirs in zip(answered(packed, more), answered(net, more), strict=True):
            assert torch.equal(ours, theirs)


def test_the_file_holds_one_bit_a_weight(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.lif1 = sb.nn.BinaryLinear(784, 512), snn.Leaky(beta=0.9)
            self.fc2, self.lif2 = sb.nn.BinaryLinear(512, 10), snn.Leaky(beta=0.9)

        def forward(self, x):
            mem1, mem2, rec = self.lif1.init_leaky(), self.lif2.init_leaky(), []
            for x_t in x:
                spk, mem1 = self.lif1(self.fc1(x_t), mem1)
                spk, mem2 = self.lif2(self.fc2(spk), mem2)
                rec.append(spk)
            return torch.stack(rec)

    path = tmp_path / "net.safetensors"
    sb.save_packed(sb.pack(Net(), torch.rand(3, 2, 784).round()), path)
    weights = (784 * 512 + 512 * 10) / 8
    assert weights < path.stat().st_size < weights + 4 * (512 + 10) + 6000


# ---- files of strangers --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Metadata and tensors of a good file."""
    net, x = made("loop over time")
    path = tmp_path_factory.mktemp("good") / "net.safetensors"
    sb.save_packed(sb.pack(net, x), path)
    with safe_open(path, framework="pt") as opened:
        return opened.metadata(), {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118


@pytest.fixture
def file(good, tmp_path):
    """What writes the file anew with another structure."""
    path = tmp_path / "net.safetensors"
    metadata, tensors = good

    def changed(change):
        structure = json.loads(metadata["structure"])
        change(structure)
        text = json.dumps(structure)
        save_file(tensors, path, {**metadata, "structure": text, "sha256": _checksum(text, tensors)})
        return path

    return changed


def first(structure, kind):
    return next(entry for entry in structure["instructions"] if entry[0] == kind)


def place_of_bits(structure):
    gives = {name for name, module in structure["modules"] if module.get("packed_output")}
    return next(place for place, entry in enumerate(structure["instructions"]) if entry[1] in gives)


def to_relu(place):
    return ["function", "relu", {"tuple": [{"ref": place}]}, {"dict": []}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: first(s, "function").__setitem__(1, "system"), "and not function 'system'"),
        (lambda s: first(s, "function").__setitem__(0, "exec"), "and not exec"),
        (lambda s: s["instructions"].append(["method", "__reduce__", {"tuple": []}, {"dict": []}]), "__reduce__"),
        (lambda s: s["instructions"].append(["invoke", "forward", {"tuple": []}, {"dict": []}]), "forward"),
        (lambda s: s["instructions"].append("x"), "a list of"),
        (lambda s: first(s, "function").__setitem__(2, {"tuple": [{"ref": 99}]}), "refer to what was before"),
        (lambda s: first(s, "function").__setitem__(2, {"tuple": [{"code": "1"}]}), "plain arguments"),
        (lambda s: first(s, "function").__setitem__(2, {"tuple": [2**40]}), "plain arguments"),
        (lambda s: s["modules"].append(["forward", s["modules"][0][1]]), "a name of their own"),
        (lambda s: s["modules"].append(["a.b", s["modules"][0][1]]), "a name of their own"),
        (lambda s: s["tensors"].append("nothing"), "has no tensor"),
        (lambda s: s.__setitem__("instructions", {}), "a list of up to"),
        (lambda s: s.__setitem__("output", {"ref": place_of_bits(s)}), "`output` of module '' has to be no bits"),
        (lambda s: s["instructions"].append(to_relu(place_of_bits(s))), "bits go to modules that take them"),
    ],
)
def test_damaged_graphs_are_refused(file, change, message):
    path = file(change)
    with pytest.raises(PackedFileError, match=message):
        sb.load_packed(path)


ASKING_FOR_MUCH = {
    "zeros": [["function", "zeros", {"tuple": [2**24, 2**24]}, {"dict": []}]],
    "a power": [["method", "__pow__", {"tuple": [7, 2**24]}, {"dict": []}]],
    "a power of a large number": [
        ["function", "mul", {"tuple": [2**23, 2**23]}, {"dict": []}],
        ["function", "mul", {"tuple": [{"ref": -1}, 2**23]}, {"dict": []}],
        ["function", "mul", {"tuple": [{"ref": -1}, 2**23]}, {"dict": []}],
    ],
    "a long list": [["function", "mul", {"tuple": [[0, 0], 2**24]}, {"dict": []}]],
    "a long list, the other way round": [["function", "mul", {"tuple": [2**24, [0, 0]]}, {"dict": []}]],
    "lists that double": [["function", "add", {"tuple": [[0] * 2**12, [0] * 2**12]}, {"dict": []}]]
    + 4 * [["function", "add", {"tuple": [{"ref": -1}, {"ref": -1}]}, {"dict": []}]],
    "zeros by keyword": [["function", "zeros", {"tuple": []}, {"dict": [["size", {"tuple": [2**24, 2**24]}]]}]],
}


@pytest.mark.parametrize("asked", ASKING_FOR_MUCH.values(), ids=ASKING_FOR_MUCH)
def test_a_graph_that_asks_for_much_is_refused_when_it_runs(file, asked):
    def change(structure):
        for kind, name, args, kwargs in asked:
            last = {"ref": len(structure["instructions"]) - 1}
            numbers = [last if number == {"ref": -1} else number for number in args["tuple"]]
            structure["instructions"].append([kind, name, {"tuple": numbers}, kwargs])

    loaded = sb.load_packed(file(change))
    with pytest.raises(ValueError, match="asks for"):
        loaded(torch.zeros(2, 2, 12))


class DropsWhatItFeedsBack(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.back, self.drop = nn.Linear(12, 6), nn.Linear(6, 6), nn.Dropout(0.3)
        self.lif = snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        mem, spk, rec = self.lif.init_leaky(), torch.zeros(x.shape[1], 6), []
        for x_t in x:
            spk, mem = self.lif(self.fc(x_t) + self.back(self.drop(spk)), mem)
            rec.append(spk)
        return torch.stack(rec)


def test_dropout_within_a_step_is_nothing_in_a_file(tmp_path):
    torch.manual_seed(0)
    net, x = DropsWhatItFeedsBack(), (torch.rand(6, 8, 12) < 0.4).float()
    sb.binarize_(net, sb.Sign())
    sb.save_packed(sb.pack(net.eval(), x), tmp_path / "net.packed")
    loaded = sb.load_packed(tmp_path / "net.packed")
    assert torch.equal(loaded(x), net(x))
    assert torch.equal(loaded.train()(x), net(x))
