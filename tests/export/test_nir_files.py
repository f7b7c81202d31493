"""Graphs of others, and files that are damaged or hostile: one typed sentence that names the node."""

import random
import shutil
from itertools import pairwise
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from nir_loaders import stepped
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export import NIRFileError

HIDDEN = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A file with a node of every kind."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        snn.Leaky(beta=0.9, **HIDDEN),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(2, 4),
        snn.RLeaky(beta=0.9, linear_features=4, **HIDDEN),
        nn.Linear(4, 3, bias=False),
        snn.Synaptic(alpha=0.5, beta=0.9, **HIDDEN),
    )
    sb.binarize_(net, sb.Bernoulli(), scale="channel")
    path = tmp_path_factory.mktemp("good") / "net.nir"
    nir.write(path, sb.export.to_nir(net, torch.zeros(1, 1, 4, 4)))
    return path


@pytest.fixture
def path(good, tmp_path):
    """A copy of it."""
    return Path(shutil.copy(good, tmp_path))


def lif(size, **changes):
    full = {"tau": 1e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.1, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: np.full(size, value) for name, value in full.items()})


def square():
    return nir.Linear(weight=np.eye(3))


def output(size):
    return nir.Output({"output": np.array([size])})


def chain(*nodes, edges=(), extra=None):
    """A graph of nodes in a row, with more edges and nodes that nobody checks."""
    named = {"input": nir.Input({"input": nodes[0].input_type["input"]})}
    named |= {f"n{index}": node for index, node in enumerate(nodes)}
    named |= {"output": nir.Output({"output": nodes[-1].output_type["output"]})}
    names = list(named)
    edges = [*pairwise(names), *edges]
    return nir.NIRGraph({**named, **(extra or {})}, edges, type_check=False)


def test_a_graph_that_snntorch_exported():
    from snntorch.export_nir import export_to_nir

    net = nn.Sequential(
        nn.Linear(6, 5), snn.Leaky(beta=0.9 * torch.ones(5), threshold=0.5 * torch.ones(5), **HIDDEN), nn.Linear(5, 3)
    )
    x = (torch.rand(60, 2, 6) < 0.5).float()
    with pytest.warns(DeprecationWarning, match="nirtorch"):
        graph = export_to_nir(net, torch.rand(6))
    assert graph.nodes["1"].r[0] == pytest.approx(10)
    sb.reset(net)
    expected = stepped(net, x)
    again = sb.export.from_nir(graph)
    torch.testing.assert_close(again(x), expected)
    assert stepped(net[:2], x).sum() > 20
    assert [type(module) for module in again] == [nn.Linear, sb.nn.Leaky, nn.Linear]


def test_neurons_without_our_metadata():
    x = (torch.rand(60, 2, 5) < 0.5).float()
    integrate = nir.IF(r=np.full(5, 2.0), v_threshold=np.full(5, 3.0))
    spikes = sb.export.from_nir(chain(integrate))(x)
    count = torch.zeros(2, 5)
    for x_t, found in zip(x, spikes, strict=True):  # two spikes fill it, and it takes more than the threshold
        count = count + 2 * x_t
        assert torch.equal(found, (count > 3).float())
        count = torch.where(count > 3, 0, count)
    # A recurrent neuron in a flat graph: two nodes in a circle.
    weight = nir.Linear(weight=-np.eye(5))
    looped = chain(lif(5), edges=[("n0", "w"), ("w", "n0")], extra={"w": weight})
    module = sb.export.from_nir(looped, dt=1e-4)[0]
    assert isinstance(module, sb.nn.Recurrent)
    assert torch.equal(module.recurrent.weight.detach(), -torch.eye(5))
    assert not torch.equal(module(x), sb.export.from_nir(chain(lif(5)))(x))
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    pool.input_type, pool.output_type = {"input": np.array([1, 4, 4])}, {"output": np.array([1, 2, 2])}
    assert sb.export.from_nir(chain(pool))(torch.ones(1, 1, 1, 4, 4)).unique().tolist() == [4.0]


@pytest.mark.slow
def test_the_time_step_is_the_graphs_or_the_one_given(path):
    assert sb.export.from_nir(path)[1].beta.item() == pytest.approx(0.9)
    assert sb.export.from_nir(path, dt=0.5e-4)[1].beta.item() == pytest.approx(0.95)
    with pytest.raises(NIRFileError, match=r"'1_leaky'.*below the time step"):
        sb.export.from_nir(path, dt=1.0)
    with pytest.raises(ValueError, match="`dt`"):
        sb.export.from_nir(path, dt=-1.0)


@pytest.mark.parametrize(
    ("graph", "word"),
    [
        (lambda: chain(nir.Scale(np.ones(3))), "'n0'.*Scale"),
        (lambda: chain(nir.LI(np.ones(3), np.ones(3), np.zeros(3))), "'n0'.*LI"),
        (lambda: chain(lif(3, v_reset=0.1)), "'n0'.*v_reset"),
        (lambda: chain(lif(3, v_leak=0.1)), "'n0'.*v_leak"),
        (lambda: chain(lif(3, r=-1.0)), "'n0'.*resistance"),
        (lambda: chain(lif(3, tau=np.nan)), "'n0'.*tau"),
        (lambda: chain(lif(3), lif(3), edges=[("n1", "n0")]), "'n[01]'.*loop through several nodes"),
        (lambda: chain(lif(3), edges=[("output", "n0")]), "loop through several nodes"),
        (lambda: chain(lif(3), extra={"dead": lif(3)}, edges=[("n0", "dead")]), "'dead'.*no part of a way"),
        (
            lambda: chain(
                lif(3), extra={"late": lif(3), "end": output(3)}, edges=[("output", "late"), ("late", "end")]
            ),
            "'output'.*no part of a way",
        ),
        (lambda: chain(square(), extra={"w": square()}, edges=[("n0", "w"), ("w", "n0")]), "'n0'.*no node of neurons"),
        (
            lambda: chain(
                lif(3), extra={"w": square(), "v": square()}, edges=[("n0", "w"), ("w", "n0"), ("n0", "v"), ("v", "n0")]
            ),
            "'n0'.*several loops",
        ),
        (lambda: chain(lif(3), extra={"lost": lif(3)}), "'lost'"),
        (lambda: chain(lif(3), extra={"in2": nir.Input({"input": np.array([3])})}), "2 inputs"),
        (lambda: chain(lif(3), extra={"w": lif(3)}, edges=[("n0", "w"), ("w", "n0")]), "'w'.*loop"),
        (lambda: chain(nir.Affine(np.full((2, 3), np.inf), np.zeros(2))), "'n0'.*weight"),
        (lambda: chain(nir.Affine(np.ones((2, 3)), np.zeros(5))), "'n0'.*bias"),
        (lambda: chain(nir.Affine(np.ones((2, 2, 3)), np.zeros(2))), "'n0'.*shape"),
    ],
)
def test_graphs_that_are_no_network_here(graph, word):
    with pytest.raises(NIRFileError, match=word) as raised:
        sb.export.from_nir(graph())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a.b", '")); raise SystemExit  #', "self", "x", ""])
def test_names_are_nothing_but_names(name):
    """A network with branches is a program that is written and run: without anything that stands in the file."""
    nodes = {"input": nir.Input({"input": np.array([3])}), name: square(), "c": nir.Linear(weight=2 * np.eye(3))}
    nodes |= {"first": output(3), "second": output(3)}
    edges = [("input", name), ("input", "c"), (name, "c"), (name, "first"), ("c", "second")]
    first, second = sb.export.from_nir(nir.NIRGraph(nodes, edges))(torch.ones(5, 1, 3))
    assert torch.equal(first, torch.ones(5, 1, 3))
    assert torch.equal(second, torch.full((5, 1, 3), 4.0))


def test_what_is_no_graph():
    with pytest.raises(TypeError, match="`graph`"):
        sb.export.from_nir(torch.nn.Linear(2, 2))


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file["node"])
    return path


def replace(group, key, value):
    del group[key]
    group[key] = value


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda f: replace(f["nodes/1_leaky"], "type", "Izhikevich"), "'1_leaky'.*unknown type 'Izhikevich'"),
        (lambda f: replace(f["nodes/7_rleaky/nodes/lif"], "type", "__class__"), "'7_rleaky.lif'.*unknown type"),
        (lambda f: replace(f["nodes/1_leaky"], "type", "read"), "'1_leaky'.*unknown type"),
        (lambda f: replace(f["nodes/1_leaky"], "tau", np.ones(3)), "'1_leaky'"),
        (lambda f: f["nodes/6_linear"].__delitem__("weight"), "'6_linear'"),
        (
            lambda f: f["nodes/6_linear/weight"].__setitem__((0, 0), -f["nodes/6_linear/weight"][0, 0]),
            "'6_linear'.*meta",
        ),
        (lambda f: replace(f["nodes/6_linear/metadata"], "latent", np.ones((9, 9))), "'6_linear'.*'latent'"),
        (lambda f: replace(f["nodes/6_linear/metadata"], "latent", "x"), "'6_linear'.*'latent'"),
        (lambda f: replace(f["nodes/6_linear/metadata"], "rule", '{"rule": "os.system"}'), "'6_linear'.*os.system"),
        (lambda f: replace(f["nodes/6_linear/metadata"], "rule", "[]"), "'6_linear'.*metadata"),
        (lambda f: replace(f["nodes/6_linear/metadata"], "scale", "-1"), "'6_linear'.*scale"),
        (lambda f: f["nodes/6_linear/metadata"].__delitem__("rule"), "'6_linear'.*rule"),
        (lambda f: replace(f["nodes/0_conv2d/metadata"], "groups", "many"), "'0_conv2d'"),
        (lambda f: replace(f["nodes/0_conv2d/metadata"], "groups", 7), "'0_conv2d'.*7 groups"),
        (lambda f: replace(f["nodes/4_avgpool2d/metadata"], "divisor", 3), "'4_avgpool2d'.*average"),
        (lambda f: replace(f["metadata"], "dt", "soon"), "time step is 'soon'"),
        (lambda f: replace(f, "type", "LIF"), "no NIRGraph"),
        (lambda f: replace(f, "edges", np.array([[b"input", b"nowhere"]])), "hold together"),
        (
            lambda f: f["nodes/6_linear"].create_dataset("more", shape=(10**12,), dtype="f8", chunks=(1000,)),
            "'6_linear/more'.*larger",
        ),
    ],
)
def test_files_that_were_tampered_with(path, change, word):
    with pytest.raises(NIRFileError, match=word) as raised:
        sb.export.from_nir(changed(path, change))
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_whatever_bytes_change_there_is_a_network_or_one_sentence(path):
    whole, rng = path.read_bytes(), random.Random(0)
    refused = []
    for trial in range(18):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            damaged = damaged[: rng.randrange(len(damaged))]
        else:
            for _ in range(rng.choice([1, 3, 30])):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            sb.export.from_nir(path)
        except NIRFileError as error:
            refused.append(str(error))
    assert len(refused) > 7
    assert "\n" not in "".join(refused)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        sb.export.from_nir(tmp_path / "nothing.nir")
    (tmp_path / "text.nir").write_text("spikes")
    with pytest.raises(NIRFileError, match="no readable NIR file"):
        sb.export.from_nir(tmp_path / "text.nir")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["x"] = 1
    with pytest.raises(NIRFileError, match="no readable NIR file"):
        sb.export.from_nir(tmp_path / "other.nir")
