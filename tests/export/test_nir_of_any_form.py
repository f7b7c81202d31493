"""Networks that loop over time as NIR graphs."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

nir = pytest.importorskip("nir")

HARD = {"reset_mechanism": "zero", "threshold": 0.3}


class Loop(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Leaky(beta=0.9, **{**HARD, **options})
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.Leaky(beta=0.8, **HARD)

    def forward(self, x):
        mem1, mem2, rec = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for x_t in x:
            spk, mem1 = self.lif1(self.fc1(x_t), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            rec.append(spk)
        return torch.stack(rec).sum(0)


class Branches(nn.Module):
    """A residual sum of currents, pooling, and two heads."""

    def __init__(self):
        super().__init__()
        self.conv, self.lif = nn.Conv2d(1, 4, 3, padding=1), snn.Leaky(beta=0.9, init_hidden=True, **HARD)
        self.conv2, self.lif2 = nn.Conv2d(4, 4, 3, padding=1), snn.Leaky(beta=0.9, init_hidden=True, **HARD)
        self.short = nn.Conv2d(4, 4, 1)
        self.a, self.lif_a = nn.Linear(64, 5), snn.Leaky(beta=0.9, init_hidden=True, **HARD)
        self.b, self.lif_b = nn.Linear(64, 2), snn.Leaky(beta=0.9, init_hidden=True, output=True, **HARD)

    def forward(self, x):
        sb.reset(self)
        first, second, mems = [], [], []
        for t in range(x.shape[0]):
            spk = self.lif(self.conv(x[t]))
            spk = self.lif2(self.conv2(spk) + self.short(spk))
            flat = nn.functional.max_pool2d(spk, 2).flatten(1)
            first.append(self.lif_a(self.a(flat)))
            spk, mem = self.lif_b(self.b(flat))
            second.append(spk)
            mems.append(mem)
        return torch.stack(first), torch.stack(second), torch.stack(mems)


def test_a_loop_gives_the_spikes_of_its_graph():
    torch.manual_seed(0)
    net, x = Loop().eval(), torch.rand(8, 3, 12)
    sb.binarize_(net, sb.Bernoulli())
    graph = sb.export.to_nir(net, x)
    assert list(graph.nodes) == ["input", "0_linear", "1_leaky", "2_linear", "3_leaky", "output"]
    assert graph.nodes["0_linear"].metadata["name"] == "fc1"
    assert graph.nodes["0_linear"].metadata["flip_probability"].shape == (16, 12)
    spikes = sb.export.from_nir(graph)(x)
    assert spikes.sum() > 5
    assert torch.equal(spikes.sum(0), net(x))


def test_branches_sums_and_outputs_are_edges():
    net, x = Branches().eval(), (torch.rand(4, 2, 1, 8, 8) < 0.5).float()
    graph = sb.export.to_nir(net, x)
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    into = {end: {start for start, stop in graph.edges if stop == end} for _, end in graph.edges}
    assert [sorted(kinds[name] for name in names) for names in into.values() if len(names) > 1] == [
        ["Conv2d", "Conv2d"]
    ]
    assert sum(kind == "Output" for kind in kinds.values()) == 2
    assert {tuple(graph.nodes[name].output_type["output"]) for name in ("output_0", "output_1")} == {(5,), (2,)}
    assert tuple(graph.nodes["input"].input_type["input"]) == (1, 8, 8)
    assert sum(kind == "SumPool2d" for kind in kinds.values()) == 1
    linear = [name for name, kind in kinds.items() if kind == "Affine"]
    assert len(into[linear[0]] & into[linear[1]]) == 1  # both heads behind one flatten


def test_a_fused_network_and_a_file(tmp_path):
    net, x = Loop().eval(), torch.rand(8, 3, 12)
    graph = sb.export.to_nir(sb.fuse(net, x), x)
    nir.write(tmp_path / "net.nir", graph)
    assert torch.equal(sb.export.from_nir(tmp_path / "net.nir")(x).sum(0), net(x))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: Loop(reset_mechanism="subtract"), "soft reset 'subtract' of module 'lif1'"),
        (lambda: WithNorm(), "the function of module 'norm'"),
        (lambda: FromMembrane(), "the membrane potential as the input of module 'fc2'"),
        (lambda: Multiplied(), "'mul' before the input of module 'lif2'"),
    ],
)
def test_what_nir_has_not_is_named(net, message):
    with pytest.raises(sb.export.NIRExportError, match=message):
        sb.export.to_nir(net(), torch.rand(4, 2, 12))


class WithNorm(Loop):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(16)

    def forward(self, x):
        mem, rec = self.lif1.init_leaky(), []
        for x_t in x:
            spk, mem = self.lif1(self.norm(self.fc1(x_t)), mem)
            rec.append(spk)
        return torch.stack(rec)


class FromMembrane(Loop):
    def forward(self, x):
        mem1, mem2, rec = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for x_t in x:
            _, mem1 = self.lif1(self.fc1(x_t), mem1)
            spk, mem2 = self.lif2(self.fc2(mem1), mem2)
            rec.append(spk)
        return torch.stack(rec)


class Multiplied(Loop):
    def forward(self, x):
        mem1, mem2, rec = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for x_t in x:
            spk, mem1 = self.lif1(self.fc1(x_t), mem1)
            spk, mem2 = self.lif2(self.fc2(spk) * 2, mem2)
            rec.append(spk)
        return torch.stack(rec)
