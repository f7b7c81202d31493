"""What has no form in C, and mistakes: one sentence, and nothing is written."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export.c.describe import describe


def _linear(*behind):
    return nn.Sequential(sb.nn.BinaryLinear(8, 6), sb.nn.Leaky(beta=0.9), *behind)


def _spikes(*shape):
    return (torch.rand(shape) < 0.5).float()


class Parts(nn.Module):
    """A binary layer, and something of the user's on what it gives."""

    def __init__(self, behind):
        super().__init__()
        self.first, self.behind = sb.nn.BinaryLinear(8, 6), behind

    def forward(self, x):
        return self.behind(self.first(x))


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (_linear(nn.Linear(6, 3)), "Linear with weights that are real numbers: binarize it"),
        (_linear(sb.nn.BinaryLinear(6, 3), nn.Sigmoid()), "a Sigmoid"),
        (_linear(sb.nn.TimeFirst(nn.AvgPool1d(2)), sb.nn.BinaryLinear(3, 3)), "a AvgPool1d"),
        (_linear(sb.nn.Recurrent(sb.nn.Leaky(beta=0.9), nn.Linear(6, 6))), "recurrent weights that are real numbers"),
    ],
)
def test_modules_without_a_form(net, said, tmp_path):
    packed = sb.pack(net.eval())
    with pytest.raises(sb.export.CExportError, match=said):
        sb.export.to_c(packed, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        (lambda x: x.exp(), "'exp'"),
        (lambda x: x.cumsum(0), "'cumsum'"),
        (lambda x: x.mean(2), "a sum or mean over anything but all time steps"),
        (lambda x: x + x.flip(1), "joins several time steps or examples"),
        (lambda x: x * float("inf"), "infinite or NaN"),
        (lambda x: (4 * x).to(torch.int32).float(), "numbers that are made torch.int32"),
        (lambda x: x.to(torch.float16).float(), "numbers that are made torch.float16"),
        (lambda x: x.to(dtype=torch.bool).float(), "numbers that are made torch.bool"),
        (lambda x: x.type_as(torch.zeros(1, dtype=torch.int8)).float(), "numbers that are made torch.int8"),
    ],
)
def test_operations_without_a_form(behind, said, tmp_path):
    x = _spikes(5, 2, 8)
    packed = sb.pack(Parts(behind), x)
    with pytest.raises(sb.export.CExportError, match=said):
        sb.export.to_c(packed, tmp_path / "out", sample=x)
    assert not list(tmp_path.iterdir())


def test_examples_of_a_number_of_its_own(tmp_path):
    layers = [nn.Flatten(0, 1), sb.nn.BinaryConv2d(1, 3, 3), nn.Flatten(1), nn.Unflatten(0, (-1, 3))]
    packed = sb.pack(nn.Sequential(*layers, sb.nn.Leaky(beta=0.9), sb.nn.BinaryLinear(48, 4)).eval())
    with pytest.raises(sb.export.CExportError, match="the operation 'unflatten' for any number of examples"):
        sb.export.to_c(packed, tmp_path / "out", sample=_spikes(6, 3, 1, 6, 6))


class FeedsBackIntoOtherWidths(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.lif1 = sb.nn.BinaryLinear(12, 8), snn.Leaky(beta=0.8)
        self.last, self.lif2 = sb.nn.BinaryLinear(8, 3), snn.RLeaky(beta=0.9, linear_features=3)
        self.back = sb.nn.BinaryLinear(3, 8)

    def forward(self, x):
        mem1, (spk2, mem2) = self.lif1.init_leaky(), self.lif2.init_rleaky()
        before, found = torch.zeros(x.shape[1], 3), []
        for x_t in x:
            spk1, mem1 = self.lif1(self.first(x_t) + self.back(before), mem1)
            spk2, mem2 = self.lif2(self.last(spk1), spk2, mem2)
            before = spk2
            found.append(spk2)
        return torch.stack(found)


def test_recurrent_neurons_of_snntorch_in_a_loop_with_feedback(tmp_path):
    net = FeedsBackIntoOtherWidths()
    x = _spikes(6, 3, 12)
    with pytest.raises(sb.export.CExportError, match="RLeaky with more than an input"):
        sb.export.to_c(sb.pack(net.eval(), x), tmp_path / "out", sample=x)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "2net", "my-net", "class", "int", "namespace", "a" * 32, "nét", "snnb", None])
def test_names(name, tmp_path):
    with pytest.raises(ValueError, match="Expected argument `name`"):
        sb.export.to_c(sb.pack(_linear()), tmp_path / "out", name)
    assert not list(tmp_path.iterdir())


def test_folders(tmp_path):
    packed, mine = sb.pack(_linear()), tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    for write in (sb.export.to_c, sb.export.to_mem):
        with pytest.raises(ValueError, match="holds other files"):
            write(packed, mine)
        with pytest.raises(ValueError, match="in a folder that exists"):
            write(packed, tmp_path / "no" / "where")
        with pytest.raises(ValueError, match="the file"):
            write(packed, mine / "thesis.tex")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.tex"]


def test_files_of_yours_among_exported_ones_stay(tmp_path):
    packed, out = sb.pack(_linear()), tmp_path / "out"
    for write in (sb.export.to_c, sb.export.to_mem, sb.export.to_c):
        write(packed, out)  # each takes the place of what was exported before
    mine = out / "example" / "sensor.c"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("int x;")
    sb.export.to_mem(packed, out)
    assert mine.read_text() == "int x;"
    assert not (out / "network.c").exists()
    (out / "network.c").write_text("int y;")
    with pytest.raises(ValueError, match=r"files of your own by names that are exported, but got .* with 'network\.c'"):
        sb.export.to_c(packed, out)
    assert (out / "network.c").read_text() == "int y;"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "README.txt").write_text("Written by somebody else.\nnetwork.c\n")
    with pytest.raises(ValueError, match="holds other files"):
        sb.export.to_c(packed, out)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"sample": torch.zeros(4, 2, 8, dtype=torch.int64)}, TypeError, "`sample` to be a tensor of real numbers"),
        ({"sample": torch.zeros(4, 2, 7)}, ValueError, "`sample` to be an input as the network takes it"),
        ({"sample": torch.zeros(4, 8)}, ValueError, "`sample` to be of shape"),
        ({"sample": torch.zeros(4, 2, 8), "time_dim": 2}, ValueError, "`time_dim`"),
        ({"readout": "loudest"}, ValueError, "`readout`"),
        ({"readout": "membrane"}, ValueError, "'rate', as the last output of the network is spikes"),
        ({"arithmetic": "double"}, ValueError, "`arithmetic`"),
        ({"arithmetic": "fixed"}, ValueError, "`data` to be inputs and classes"),
        ({"data": (torch.zeros(4, 2, 8), torch.zeros(2))}, ValueError, "`data` to be None"),
        ({"arithmetic": "fixed", "data": 3}, TypeError, "`data` to be a pair"),
        (
            {"arithmetic": "fixed", "data": (torch.zeros(4, 2, 7), torch.zeros(2))},
            ValueError,
            "`data` to be inputs of 8",
        ),
        ({"max_accuracy_loss": 2}, ValueError, "`max_accuracy_loss` to be in"),
    ],
)
def test_arguments(options, error, said, tmp_path):
    with pytest.raises(error, match=said):
        sb.export.to_c(sb.pack(_linear()), tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_networks_that_are_not_packed(tmp_path):
    for write in (sb.export.to_c, sb.export.to_mem):
        for net in (_linear(), None, nn.Linear(2, 2)):
            with pytest.raises(TypeError, match=r"`packed` to be what snntorch_binary.pack returned"):
                write(net, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_convolution_needs_a_sample(tmp_path):
    packed = sb.pack(nn.Sequential(sb.nn.BinaryConv2d(1, 2, 3), sb.nn.Leaky(beta=0.9)))
    with pytest.raises(ValueError, match="`sample` to be an input as the network takes it, which says the sizes"):
        sb.export.to_c(packed, tmp_path / "out")


def test_an_ensemble_needs_probabilities(tmp_path):
    net = nn.Sequential(sb.nn.BinaryLinear(8, 3, weight=sb.Bernoulli()))
    packed = sb.pack(sb.Ensemble(net, num_members=2))
    with pytest.raises(ValueError, match="`probabilities` to be True for an ensemble"):
        sb.export.to_c(packed, tmp_path / "out", probabilities=False)


def test_a_readout_of_the_users_own(tmp_path):
    net = nn.Sequential(sb.nn.BinaryLinear(8, 3, weight=sb.Bernoulli()))
    packed = sb.pack(sb.Ensemble(net, num_members=2, readout=lambda output: output[-1]))
    with pytest.raises(sb.export.CExportError, match="a readout that is a function"):
        sb.export.to_c(packed, tmp_path / "out")


def test_layers_that_count_too_far(tmp_path):
    packed = sb.pack(nn.Sequential(sb.nn.BinaryLinear(2**15, 3), sb.nn.Leaky(beta=0.9)))
    with pytest.raises(sb.export.CExportError, match="A layer sums 32768 inputs, and C counts up to 32767"):
        sb.export.to_c(packed, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_dense_layers_count_words_and_sparse_ones_spikes():
    net = nn.Sequential(sb.nn.BinaryLinear(200, 4), sb.nn.Leaky(beta=0.9))
    for x, dense in ((torch.ones(3, 2, 200), True), (torch.zeros(3, 2, 200), False)):
        program = describe(sb.pack(net), x)
        assert [node.dense for node in program.nodes if hasattr(node, "dense")] == [dense]


def test_what_is_written_needs_no_mathematical_library_without_probabilities(tmp_path):
    sb.export.to_c(sb.pack(_linear()), tmp_path / "out", probabilities=False)
    for name in ("network.c", "network.h", "snnb.c", "snnb.h"):
        text = (tmp_path / "out" / name).read_text()
        included = {line for line in text.splitlines() if line.startswith("#include <")}
        assert included <= {"#include <stdint.h>", "#include <string.h>"}
