"""Ensembles of networks of any form, packed as one graph with the weights of each member, in memory and in a file."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph.tree import leaves
from snntorch_binary.inference.readout import class_scores
from snntorch_binary.metrics import energy
from snntorch_binary.packed import PackedFileError, PackedGraph
from snntorch_binary.packed import recorded as graphs
from snntorch_binary.packed.file.save_and_load import _checksum

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))

from models import MODELS


def ensemble_of(name, num_members=3, scale=0.25, **arguments):
    """Members whose sums of spikes are exact in float32, and an input; a power of two as scale does that."""
    torch.manual_seed(0)
    make, sample = MODELS[name]
    net = make()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.4), scale=scale)
    return sb.Ensemble(net.eval(), num_members, seed=3, **arguments), sample()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "members.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "time_dim", "scored"),
    [
        ("loop over time", 0, False),
        ("batch first", 1, False),
        ("one step a call", 0, False),
        ("layer by layer", 0, True),
        ("feedback", 0, False),
        ("convolutions with batch norm", 0, False),
        ("static image", 0, False),
        ("Sequential", 0, False),
    ],
)
def test_it_answers_as_the_ensemble(name, time_dim, scored, path):
    ensemble, x = ensemble_of(name)
    packed = sb.pack(ensemble, x)
    assert all(type(member) is PackedGraph for member in packed.net)
    assert (packed.time_dim, packed.scored, packed.num_members) == (time_dim, scored, 3)
    sb.save_packed(packed, path)
    loaded = sb.load_packed(path)
    for inputs in (x, torch.cat([x, x], time_dim)):
        scores = ensemble(inputs)
        assert not torch.equal(scores[0], scores[1])
        for one in (packed, loaded):
            assert torch.equal(one(inputs), scores)
            assert torch.equal(one.predict(inputs).probs, ensemble.predict(inputs).probs)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_form(name, path):
    every = {"readout": lambda output: torch.cat([leaf.flatten() for leaf in leaves(output)])}
    ensemble, x = ensemble_of(name, num_members=2, **every)
    packed = sb.pack(ensemble, x)
    torch.manual_seed(1)
    before = ensemble(x)
    torch.manual_seed(1)
    torch.testing.assert_close(packed(x), before, rtol=1e-5, atol=1e-6)
    packed.readout = "auto"  # a function is in no file
    if name == "SLSTM":
        with pytest.raises(TypeError, match="cannot hold a SLSTM"):
            sb.save_packed(packed, path)
        return
    sb.save_packed(packed, path)
    loaded = sb.load_packed(path)
    loaded.readout = packed.readout = ensemble.readout
    torch.manual_seed(1)
    again = loaded(x)
    torch.manual_seed(1)
    assert torch.equal(again, packed(x))


@pytest.mark.slow
def test_other_arguments(path):
    ensemble, x = ensemble_of("two heads", readout=lambda output: output["classes"].sum(0))
    packed = sb.pack(ensemble, x)
    assert torch.equal(packed(x), ensemble(x))
    with pytest.raises(TypeError, match="a readout that is a function"):
        sb.save_packed(packed, path)
    ensemble, x = ensemble_of("static image", readout_scale=2.5)
    packed = sb.pack(ensemble, x.round(), real_input=["fc1"])
    assert {member.report["fc1"] for member in packed.net} == {"1 bit a weight, multiplies real numbers"}
    sb.save_packed(packed, path)
    assert torch.equal(sb.load_packed(path)(x), ensemble(x))
    with pytest.raises(TypeError, match="`sample` to be a tensor, or a tuple of arguments that begins with one"):
        sb.pack(ensemble, [x, x])
    with pytest.raises(ValueError, match="names of binary layers, of fc1, fc2"):
        sb.pack(ensemble, x, real_input=["lif1"])


def test_norms_of_each_member_are_its_own(path):
    ensemble, x = ensemble_of("convolutions with batch norm")
    sb.refit_norms_(ensemble, x)
    norms = [
        [buffer for name, buffer in member.named_buffers() if "running_mean" in name] for member in ensemble.members
    ]
    assert not torch.equal(norms[0][0], norms[1][0])
    sb.save_packed(sb.pack(ensemble, x), path)
    assert torch.equal(sb.load_packed(path)(x), ensemble(x))


def test_members_whose_neurons_differ_are_kept_apart(path):
    """Their descriptions are no longer one: the file has each."""
    ensemble, x = ensemble_of("loop over time")
    with torch.no_grad():
        ensemble.members[1].lif2.threshold.fill_(0.25)
    sb.save_packed(sb.pack(ensemble, x), path)
    assert torch.equal(sb.load_packed(path)(x), ensemble(x))


class Decaying(nn.Module):
    """A loop whose equations are plain numbers and branches on what a module has, or is read off a tensor."""

    def __init__(self, beta=0.5, skip=False, out="mem", scale=lambda x: x, read=None):
        super().__init__()
        self.fc = sb.nn.BinaryLinear(16, 5, scale=0.25)
        self.beta, self.options, self.scale = beta, {"skip": skip}, scale
        self.out = out
        self.read = read is not None
        self.register_buffer("gain", torch.tensor(read or 1.0))

    def forward(self, x):
        mem, outputs = torch.zeros(1), []
        for x_t in x:
            current = self.scale(self.fc(x_t)) * (float(self.gain) if self.read else 1)
            mem = self.beta * mem + current
            output = mem if self.out == "mem" else (mem > 0.5).float()
            outputs.append(output + x_t[..., :5] if self.options["skip"] else output)
        return torch.stack(outputs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"beta": 0.75}),
        ({"skip": True}, {"skip": False}),
        ({}, {"out": "spk"}),
        ({}, {"scale": lambda x: 2 * x}),
        ({"read": 0.5}, {"read": 2.0}),
    ],
)
def test_members_of_other_equations_are_recorded_by_themselves(one, other, path):
    torch.manual_seed(0)
    x = (torch.rand(6, 3, 16) < 0.4).float()
    ensemble = sb.Ensemble.of([Decaying(**one), Decaying(**other), Decaying(**one)])
    packed = sb.pack(ensemble, x[:4])
    sb.save_packed(packed, path)
    assert torch.equal(packed(x), ensemble(x))
    assert torch.equal(sb.load_packed(path)(x), ensemble(x))


def test_members_of_the_same_equations_are_recorded_once(monkeypatch):
    """Functions that are made anew for each network, such as surrogate gradients, are the same by what they do."""
    count, recorded = [], graphs.as_graph
    monkeypatch.setattr(graphs, "as_graph", lambda *args, **kwargs: count.append(1) or recorded(*args, **kwargs))
    torch.manual_seed(0)
    x = (torch.rand(6, 3, 16) < 0.4).float()
    made = [Decaying(scale=(lambda factor: lambda x: factor * x)(2)) for _ in range(3)]
    ensemble = sb.Ensemble.of(made)
    assert torch.equal(sb.pack(ensemble, x[:4])(x), ensemble(x))
    assert len(count) == 1


def test_members_are_what_fuse_gave(path):
    net, x = MODELS["loop over time"][0](), MODELS["loop over time"][1]()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.4), scale=0.25)
    fused = sb.Ensemble(sb.fuse(net, x).eval(), 2)
    packed = sb.pack(fused)
    sb.save_packed(packed, path)
    assert torch.equal(packed(x), fused(x))
    assert torch.equal(sb.load_packed(path)(x), fused(x))


def test_members_that_were_fused_apart_are_packed_with_a_sample_too(path):
    torch.manual_seed(0)
    x = (torch.rand(6, 3, 16) < 0.4).float()
    fused = sb.Ensemble.of([sb.fuse(Decaying(beta=beta), x[:4]) for beta in (0.5, 0.75)])
    packed = sb.pack(fused, x)
    sb.save_packed(packed, path)
    assert torch.equal(packed(x), fused(x))
    assert torch.equal(sb.load_packed(path)(x), fused(x))


def test_counts_are_those_of_the_ensemble():
    ensemble, x = ensemble_of("loop over time")
    packed = sb.pack(ensemble, x)
    ours, theirs = energy(packed, x), energy(ensemble, x)
    assert [row.name for row in ours.rows] == [row.name.replace("members", "net") for row in theirs.rows]
    for name in ("synaptic_operations", "dense_macs", "spikes", "weight_bytes", "update_macs"):
        assert [getattr(row, name) for row in ours.rows] == [getattr(row, name) for row in theirs.rows]
    assert sb.summary(packed).binary_weights == 3 * (12 * 16 + 16 * 5)


def test_a_packed_graph_alone_is_read_out_and_counted():
    """Its form is found by runs that show it nothing but spikes."""
    ensemble, x = ensemble_of("loop over time")
    member = ensemble.members[0]
    packed = sb.pack(member, x)
    assert torch.equal(class_scores(packed, x), class_scores(member, x))
    assert energy(packed, x).synaptic_operations == energy(member, x).synaptic_operations


@pytest.mark.slow
def test_the_file_says_once_what_members_do(tmp_path):
    sizes = []
    for members in (1, 10):
        ensemble, x = ensemble_of("feedback", num_members=members)
        sb.save_packed(sb.pack(ensemble, x), tmp_path / "net")
        with safe_open(tmp_path / "net", framework="pt") as file:
            sizes.append(len(file.metadata()["structure"]))
    assert sizes[1] < sizes[0] + 10


# ---- files of strangers --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Metadata and tensors of a good file."""
    path = tmp_path_factory.mktemp("good") / "members.safetensors"
    ensemble, x = ensemble_of("loop over time")
    sb.save_packed(sb.pack(ensemble, x), path)
    with safe_open(path, framework="pt") as opened:
        return opened.metadata(), {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118


@pytest.fixture
def file(good, path):
    """What writes the file anew with another structure."""
    metadata, tensors = good

    def changed(change):
        structure = json.loads(metadata["structure"])
        change(structure)
        text = json.dumps(structure)
        save_file(tensors, path, {**metadata, "structure": text, "sha256": _checksum(text, tensors)})
        return path

    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(num_members=4), r"has no tensor 'net\.3\."),
        (lambda s: s.update(num_members=2**20), "asks for more than 512 times its size"),
        (lambda s: s.update(num_members=0), "`num_members`"),
        (lambda s: s.update(member=[]), "described by list"),
        (
            lambda s: s["member"].update(type="Flatten", start_dim=0, end_dim=-1),
            "to be a packed graph",
        ),
        (
            lambda s: s["member"].update(modules=[], instructions=[], tensors=[], output=None),
            "has to be a packed graph",
        ),
        (lambda s: s["member"]["instructions"].append(["function", "system", {"tuple": []}, {"dict": []}]), "'system'"),
        (lambda s: s.update(time_dim=3), r"`time_dim` of module '' has to be an integer in \[0, 2\]"),
        (lambda s: s.update(scored=1), "`scored` of module '' has to be true or false"),
    ],
)
def test_damaged_ensembles_are_refused(file, change, message):
    with pytest.raises(PackedFileError, match=message):
        sb.load_packed(file(change))
