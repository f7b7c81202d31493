"""Networks of other forms: shown numbers or one image, batch-first, with a readout of their own, with a burn-in.

And what is true of all: a network that was saved is written alike, and the stack is small and known.
"""

import re
import shutil
import subprocess
from dataclasses import replace

import host
import networks
import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.packed import SkipSteps


def _equal(device, x, expected):
    """Compare scores after every step, of inputs [T, B, ...] and scores [T, K, B, C]."""
    for example in range(x.shape[1]):
        device.call("reset")
        for step in range(len(x)):
            device.step(x[step, example].flatten())
            assert torch.equal(device.scores(), expected[step, :, example]), (step, example)


def _spiking(*layers):
    return nn.Sequential(*layers, sb.nn.Leaky(beta=0.9, threshold=0.3)).eval()


@pytest.mark.parametrize("language", ["gcc", "g++"])
def test_pixels(language, tmp_path):
    torch.manual_seed(0)
    front = [sb.nn.BinaryConv2d(2, 4, 3, padding=1, stride=2, scale=1 / 8), sb.nn.Leaky(beta=0.5, threshold=0.5)]
    net = _spiking(*front, nn.Flatten(2), sb.nn.BinaryLinear(4 * 9, 5))
    x = torch.randint(0, 256, (6, 3, 2, 6, 6)) / 256
    packed = sb.pack(net, real_input=["0"])
    expected = networks.scores_by_step(networks.Case(packed, x))
    assert 0 < expected[-1].mean() < 6
    device = host.Device(packed, tmp_path, sample=x, language=language)
    assert device.real
    _equal(device, x, expected)


def test_traces_before_the_weights(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(sb.nn.SynapticTrace(), sb.nn.BinaryLinear(40, 6, bias=False), sb.nn.Refractory()).eval()
    packed, x = sb.pack(net), networks.spikes(10, 3, 40)
    device = host.Device(packed, tmp_path, sample=x)
    assert not device.real
    got = torch.stack([device.run(x[:, example])[0] for example in range(3)])
    # Sums of real numbers are added in another order; a spike that this changes is a rare chance.
    assert torch.equal(got, packed(x).mean(0) * 10)


def test_a_burn_in(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(sb.nn.BinaryLinear(20, 30), sb.nn.Leaky(beta=0.9, threshold=0.3), sb.nn.BinaryLinear(30, 4))
    packed, x = nn.Sequential(*sb.pack(net.eval()), SkipSteps(3)), networks.spikes(8, 2, 20)
    device = host.Device(packed, tmp_path, sample=x)
    outputs = packed(x)
    total = torch.zeros_like(outputs[0])
    for now in outputs:
        total = total + now
    for example in range(2):
        assert torch.equal(device.run(x[:, example])[0], (total / 5)[example])


class BatchFirst(nn.Module):
    """Takes and returns [B, T, ...]."""

    def __init__(self):
        super().__init__()
        self.first, self.last = sb.nn.BinaryLinear(20, 30), sb.nn.BinaryLinear(30, 4)
        self.one, self.two = (sb.nn.Leaky(beta=0.9, threshold=0.3, step=True) for _ in range(2))

    def steps(self, inputs):
        one = two = None
        out = []
        for x_t in inputs:
            spikes, one = self.one(self.first(x_t), one)
            spikes, two = self.two(self.last(spikes), two)
            out.append(spikes)
        return out

    def forward(self, x):
        return torch.stack(self.steps(x.unbind(1)), 1)


class OneImage(BatchFirst):
    """Is shown the same numbers at each of six steps, and counts spikes itself."""

    def forward(self, x):
        return torch.stack(self.steps([x] * 6)).sum(0)


def test_batch_first(tmp_path):
    torch.manual_seed(0)
    net, x = BatchFirst().eval(), networks.spikes(3, 7, 20)
    packed = sb.pack(net, x)
    members = sb.pack(sb.Ensemble(net, num_members=2), x)
    device = host.Device(members, tmp_path, sample=x, time_dim=1)
    counts = members(x)
    assert torch.equal(counts[0], packed(x).sum(1))
    for example in range(3):
        assert torch.equal(device.run(x[example])[:, :], counts[:, example])


@pytest.mark.parametrize("scales", [(1.0, 0.5), (0.5, 1.0), (0.7, 0.5)])
def test_members_whose_constants_differ(scales, tmp_path):
    torch.manual_seed(0)
    rule = sb.Bernoulli()
    nets = [
        _spiking(
            sb.nn.BinaryLinear(20, 30, weight=rule, scale=scale),
            sb.nn.Leaky(beta=0.9, threshold=2 * scale),
            sb.nn.BinaryLinear(30, 4, weight=rule),
        )
        for scale in scales
    ]
    packed, x = sb.pack(sb.Ensemble.of(nets, num_members=2)), networks.spikes(9, 3, 20)
    device = host.Device(packed, tmp_path, sample=x)
    _equal(device, x, networks.scores_by_step(networks.Case(packed, x)))


def test_one_image(tmp_path):
    torch.manual_seed(0)
    net, x = OneImage().eval(), networks.spikes(3, 20)
    packed = sb.pack(net, x)
    device = host.Device(packed, tmp_path, sample=x, time_dim=None)
    counts = packed(x)
    assert float(counts.sum()) > 0
    for example in range(3):
        assert torch.equal(device.run(x[example].expand(6, -1))[0], counts[example])


def test_the_example_of_a_network_that_makes_its_own_time_steps(tmp_path):
    """It shows its input as often as the network does, so that its last answer is the network's."""
    torch.manual_seed(0)
    net, x = OneImage().eval(), networks.spikes(3, 20)
    packed = sb.pack(net, x)
    sb.export.to_c(packed, tmp_path / "c", sample=x, time_dim=None)
    assert "#define NETWORK_STEPS 6u" in (tmp_path / "c" / "network.h").read_text()
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    run = subprocess.run(["make"], cwd=tmp_path / "c" / "example", capture_output=True, text=True, check=True)
    lines = [line for line in run.stdout.splitlines() if line.startswith("step ")]
    assert len(lines) == 6
    probabilities = packed(x)[0].softmax(0)
    assert f"class {int(probabilities.argmax())} with probability {float(probabilities.max()):.3f}" in lines[-1]


class FeedsBack(nn.Module):
    """Neurons of other numbers in one loop, whose states are empty before the first step."""

    def __init__(self, inputs=6, width=3):
        super().__init__()
        self.fc1, self.lif1 = sb.nn.BinaryLinear(inputs, width), snn.Leaky(beta=0.9, threshold=0.2)
        self.fc2, self.lif2 = sb.nn.BinaryLinear(width, 5), snn.Leaky(beta=torch.linspace(0.5, 0.9, 5), threshold=0.2)
        self.back = sb.nn.BinaryLinear(5, width)

    def forward(self, x):
        mem1, mem2, spk2, found = self.lif1.init_leaky(), self.lif2.init_leaky(), torch.zeros(x.shape[1], 5), []
        for x_t in x:
            spk1, mem1 = self.lif1(self.fc1(x_t) + self.back(spk2), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            found.append(spk2)
        return torch.stack(found)


@pytest.mark.parametrize(("inputs", "width"), [(6, 3), (1, 1), (5, 5)])
def test_states_have_the_shape_of_their_neurons(tmp_path, inputs, width):
    torch.manual_seed(0)
    net, x = FeedsBack(inputs, width).eval(), networks.spikes(12, 3, inputs)
    packed = sb.pack(net, x)
    device = host.Device(packed, tmp_path, sample=x)
    counts = packed(x).sum(0)
    assert float(counts.sum()) > 0
    for example in range(3):
        assert torch.equal(device.run(x[:, example])[0], counts[example])


class OneStep(nn.Module):
    """A loop of one step."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = sb.nn.BinaryLinear(20, 4), snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        spk, _ = self.lif(self.fc(x), self.lif.init_leaky())
        return torch.stack([spk]).sum(0)


def test_one_step(tmp_path):
    torch.manual_seed(0)
    net, x = OneStep().eval(), networks.spikes(3, 20)
    packed = sb.pack(net, x)
    device = host.Device(packed, tmp_path, sample=x, time_dim=None)
    for example in range(3):
        assert torch.equal(device.run(x[example][None])[0], packed(x)[example])


class Later(BatchFirst):
    """Sees what the first neurons fired a step ago, and counts its spikes in a sum of its own."""

    def forward(self, x):
        one = two = None
        before, total = torch.zeros(x.shape[1], 30), torch.zeros(x.shape[1], 4)
        for x_t in x:
            spikes, two = self.two(self.last(before), two)
            before, one = self.one(self.first(x_t), one)
            total = total + spikes
        return total


def test_a_layer_that_sees_the_step_before(tmp_path):
    torch.manual_seed(0)
    net, x = Later().eval(), networks.spikes(7, 3, 20)
    packed = sb.pack(net, x)
    assert {"one_step_later", "running_sum"} <= {each.name for each in packed.instructions}
    device = host.Device(packed, tmp_path, sample=x)
    counts = packed(x)
    assert float(counts.sum()) > 0
    for example in range(3):
        assert torch.equal(device.run(x[:, example])[0], counts[example])


def test_one_output_says_two_classes_by_its_sign(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(sb.nn.BinaryLinear(20, 30), sb.nn.Leaky(beta=0.9, threshold=0.3), sb.nn.BinaryLinear(30, 1))
    x = networks.spikes(5, 8, 20)
    net[2].bias.data -= net.eval()(x).mean()
    packed = sb.pack(net)
    for probabilities in (True, False):
        folder = tmp_path / str(probabilities)
        folder.mkdir()
        device = host.Device(packed, folder, sample=x, probabilities=probabilities)
        labels = []
        for example in range(8):
            score = float(device.run(x[:, example]))
            labels.append(score > 0)
            if not probabilities:
                word = (host.ctypes.c_uint32 * 1)()
                device.call("result", word)
                assert word[0] == int(score > 0)
                continue
            answer = device.answer()
            assert answer.label == int(score > 0)
            assert answer.probabilities[1] == pytest.approx(1 / (1 + pow(2.718281828, -score)), abs=1e-6)
        assert 0 < sum(labels) < 8


def test_a_network_that_was_saved_is_written_alike(tmp_path):
    pytest.importorskip("safetensors")
    torch.manual_seed(0)
    rule = sb.Bernoulli()
    net = _spiking(sb.nn.BinaryLinear(20, 30, weight=rule), sb.nn.SRM(), sb.nn.BinaryLinear(30, 4, weight=rule))
    x = networks.spikes(5, 2, 20)
    for place, packed in enumerate((sb.pack(sb.Ensemble(net, num_members=2)), sb.pack(net, x))):
        sb.save_packed(packed, tmp_path / "net.safetensors")
        for name, each in (("a", packed), ("b", sb.load_packed(tmp_path / "net.safetensors"))):
            sb.export.to_c(each, tmp_path / f"{name}{place}", sample=x)
        texts = [(tmp_path / f"{name}{place}" / "network.c").read_text() for name in ("a", "b")]
        assert texts[0] == texts[1]


def test_the_stack_is_small_and_known(tmp_path):
    host.compiler()
    packed, x = _wide(), networks.spikes(3, 2, 2, 12, 12)
    sb.export.to_c(packed, tmp_path / "c", sample=x)
    for source in ("network.c", "snnb.c"):
        subprocess.run(
            ["gcc", "-std=c99", "-Os", "-fstack-usage", "-c", str(tmp_path / "c" / source), "-o", str(tmp_path / "o")],
            check=True,
            cwd=tmp_path,
        )
    found = [line.split("\t") for usage in tmp_path.glob("*.su") for line in usage.read_text().splitlines()]
    assert len(found) > 15
    assert {how for _, _, how in found} == {"static"}
    assert max(int(size) for _, size, _ in found) <= 512


def _wide():
    layers = [sb.nn.BinaryConv2d(2, 40, 3), sb.nn.Leaky(beta=0.9), nn.Flatten(2), sb.nn.BinaryLinear(40 * 100, 10)]
    return sb.pack(nn.Sequential(*layers).eval())


def test_what_is_said_of_sizes_is_so(tmp_path):
    device = host.Device(_wide(), tmp_path, sample=networks.spikes(3, 2, 2, 12, 12))
    assert device.library.host_size() == device.sizes.state
    header = (device.folder / "net.h").read_text()
    assert f"RAM: {device.sizes.state:,} bytes" in header
    words = re.findall(r"uint32_t net_weights\d+\[(\d+)\]", (device.folder / "net.c").read_text())
    assert 4 * sum(map(int, words)) == device.sizes.weights
    boards = {name.split(",")[0]: fits for name, fits, *_ in device.sizes.boards()}
    assert boards == {"STM32F103": False, "nRF52832 and STM32L4": True, "nRF52840": True}
    assert replace(device.sizes, state=3 * 2**20).boards()[2][1] is False


_ARDUINO = """
#include <stdint.h>
struct Printer {
  void begin(long) {}
  template <class T> void print(T) {}
  template <class T> void println(T) {}
};
static Printer Serial;
static inline void delay(unsigned long) {}
"""


@pytest.mark.parametrize("probabilities", [True, False])
def test_the_arduino_library_compiles_with_a_stub_of_its_core(probabilities, tmp_path):
    host.compiler("g++")
    torch.manual_seed(0)
    net = _spiking(sb.nn.BinaryLinear(40, 4))
    x = networks.spikes(5, 2, 40)
    sb.export.to_c(sb.pack(net), tmp_path / "c", "net", sample=x, probabilities=probabilities)
    library = tmp_path / "c" / "example"
    properties = dict(line.split("=", 1) for line in (library / "library.properties").read_text().splitlines())
    assert properties["name"] == "net"
    assert properties["includes"] == "net.h"
    (tmp_path / "Arduino.h").write_text(_ARDUINO)
    sketch = library / "examples" / "net_answers" / "net_answers.ino"
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", f"-I{library / 'src'}", "-fsyntax-only"]
    host.build(["g++", *flags, "-include", str(tmp_path / "Arduino.h"), "-x", "c++", str(sketch)])
    shown = (library / "src" / "shown.h").read_text()
    assert all(f"0x{word:08X}u" in shown for word in host.words_of(x[0, 0]))
    module = (library / "zephyr" / "module.yml").read_text()
    assert module.startswith("name: net\n")
    assert "src/net.c src/snnb.c" in (library / "CMakeLists.txt").read_text()
