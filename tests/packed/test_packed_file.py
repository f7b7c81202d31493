"""Packed files: the same answers after loading, their size, and what damaged or hostile files lead to."""

import contextlib
import copy
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import snntorch as snn
import torch
from random_spikes import spikes
from torch import nn
from torch.nn.utils import prune, weight_norm

import snntorch_binary as sb
from snntorch_binary.models import LocalSpikingMLP
from snntorch_binary.packed import PackedFileError, PackedFileVersionError, PackedLayer, SpikeBits
from snntorch_binary.packed.file import save_and_load as file
from snntorch_binary.packed.file.entry import MOST_AT_ALL, MOST_PER_BYTE, Entry

pytest.importorskip("safetensors")
from safetensors.torch import load_file, safe_open, save_file

FILES = Path(__file__).parent / "files"

POOLING = {
    "type": "PackedMaxPool",
    "kernel": [2] * 3,
    "stride": [1] * 3,
    "dilation": [1] * 3,
    "padding_before": [0] * 3,
    "padding_after": [0] * 3,
}


def norm_of(channels):
    norm = nn.BatchNorm2d(channels).eval()
    for value in (norm.running_mean, norm.weight.data, norm.bias.data):
        value.normal_()
    norm.running_var.uniform_(0.3, 2.0)
    return sb.nn.TimeFirst(norm)


def everything():
    """A network with every module that a file can hold."""
    beta = torch.rand(9)
    return nn.Sequential(
        sb.nn.BinaryConv2d(2, 9, 3, padding=1, stride=(1, 2)),
        sb.nn.Leaky(beta=beta.view(-1, 1, 1), threshold=0.3, reset_mechanism="zero"),
        sb.nn.TimeFirst(nn.MaxPool2d(2)),
        sb.nn.BinaryConv2d(9, 6, 2, groups=3, scale="channel"),
        norm_of(6),
        sb.nn.Synaptic(alpha=0.5, beta=0.9, threshold=0.3),
        sb.nn.TimeFirst(nn.Flatten()),
        sb.nn.BinaryLinear(12, 7, bias=False),
        sb.nn.SRM(),
        nn.Linear(7, 8),
        sb.nn.Leaky(beta=0.9, threshold=0.1, reset_delay=False),
        nn.Flatten(2),
        sb.nn.BinaryLinear(8, 5),
        sb.nn.Leaky(beta=0.9, threshold=0.1, output=True),
    )


def ensemble_of(members=3, **arguments):
    net = nn.Sequential(
        nn.Flatten(2),
        sb.nn.BinaryLinear(40, 20, weight=sb.Bernoulli(init_scale=0.5)),
        sb.nn.Leaky(beta=0.9, threshold=0.3),
        sb.nn.BinaryLinear(20, 4, weight=sb.Bernoulli(init_scale=0.5)),
    )
    return sb.Ensemble(net, num_members=members, seed=7, **arguments)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def test_there_and_back(engine, path):
    packed = sb.pack(everything())
    sb.save_packed(packed, path)
    loaded = sb.load_packed(path)
    assert not loaded.training
    assert [type(module) for module in loaded] == [type(module) for module in packed]
    x = spikes(8, 2, 2, 6, 7)
    for ours, theirs in zip(loaded(x), packed(x), strict=True):
        assert torch.equal(ours, theirs)
    assert loaded(x)[0].sum() > 0
    sb.save_packed(loaded, path)  # and again, with nothing lost
    for ours, theirs in zip(sb.load_packed(path)(x), packed(x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("members", [1, 3])
def test_ensembles(engine, path, members):
    packed = sb.pack(ensemble_of(members, readout="membrane", readout_scale=0.5))
    sb.save_packed(packed, str(path))
    loaded = sb.load_packed(str(path))
    x = spikes(8, 2, 5, 8)
    assert torch.equal(loaded(x), packed(x))
    assert (loaded.seed, loaded.num_members, loaded.readout, loaded.readout_scale) == (7, members, "membrane", 0.5)


def test_members_one_by_one_and_a_layer_alone(engine, path):
    layer = sb.nn.BinaryLinear(16, 8, weight=sb.Bernoulli())
    x = spikes(8, 2, 16)
    for packed in (
        sb.pack(sb.Ensemble(nn.Sequential(layer, sb.nn.Leaky(beta=0.9, init_hidden=True)), num_members=2)),
        sb.pack(layer),
    ):
        sb.save_packed(packed, path)
        assert torch.equal(sb.load_packed(path)(x), packed(x))


def test_size(path):
    """One bit per weight and member and at most 2 % more, biases and header included."""
    net = nn.Sequential(
        sb.nn.BinaryLinear(2312, 512, weight=sb.Bernoulli()),
        sb.nn.Leaky(beta=0.9),
        sb.nn.BinaryLinear(512, 10, weight=sb.Bernoulli()),
    )
    weights = 2312 * 512 + 512 * 10
    for packed, members in ((sb.pack(net), 1), (sb.pack(sb.Ensemble(net, num_members=10)), 10)):
        sb.save_packed(packed, path)
        assert weights * members / 8 < os.path.getsize(path) < 1.02 * weights * members / 8 + 2600


def test_header(path):
    sb.save_packed(sb.pack(ensemble_of()), path)
    with safe_open(path, "pt") as opened:
        metadata = opened.metadata()
    assert metadata["format"] == "snntorch_binary.packed"
    assert metadata["version"] == "1"
    structure = json.loads(metadata["structure"])
    assert structure["seed"] == 7
    assert structure["net"]["modules"][1][1]["out_channels"] == 20


@pytest.mark.parametrize("engine", [nn.Linear, nn.Conv1d], ids=["linear", "convolution"])
@pytest.mark.parametrize("wrap", [weight_norm, lambda layer: prune.l1_unstructured(layer, "weight", 0.5)])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_that_are_computed_are_held_as_they_are(engine, wrap, path):
    torch.manual_seed(0)
    first = wrap(nn.Linear(8, 8) if engine is nn.Linear else nn.Conv1d(2, 2, 3, padding=1))
    net = nn.Sequential(first, nn.Flatten(1), sb.nn.BinaryLinear(16, 3))
    x = torch.rand(4, 2, 8)
    net(x).sum().backward()
    with torch.no_grad():  # as a step of an optimizer does, behind which no call has computed the weight again
        for parameter in net[0].parameters():
            parameter.mul_(1.5)
    sb.save_packed(sb.pack(net.eval(), x), path)
    assert torch.equal(sb.load_packed(path)(x), net(x))


class Half(prune.BasePruningMethod):
    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        mask = default_mask.clone()
        mask.view(-1)[::2] = 0
        return mask


def test_pruning_of_a_class_of_yours_and_other_hooks(path):
    net = nn.Sequential(nn.Linear(8, 8), nn.Flatten(1), sb.nn.BinaryLinear(16, 3))
    Half.apply(net[0], "weight")
    x = torch.rand(4, 2, 8)
    net(x)
    with torch.no_grad():
        net[0].weight_orig.mul_(1.5)
    sb.save_packed(sb.pack(net.eval(), x), path)
    assert torch.equal(sb.load_packed(path)(x), net(x))
    net[0].register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    with pytest.raises(TypeError, match=r"cannot hold hooks of a Linear"):
        sb.save_packed(sb.pack(net, x), path)


def test_what_no_file_holds(path):
    with pytest.raises(TypeError, match=r"`packed` to be what snntorch_binary\.pack returned, but got Linear"):
        sb.save_packed(nn.Linear(2, 2), path)
    with pytest.raises(TypeError, match=r"cannot hold a RReLU \(2\)"):
        sb.save_packed(nn.Sequential(*sb.pack(everything())[:1], nn.Flatten(), nn.RReLU()), path)
    with pytest.raises(TypeError, match="readout that is a function"):
        sb.save_packed(sb.pack(ensemble_of(readout=lambda output: output[0])), path)
    assert not path.exists()


def local_network():
    net = LocalSpikingMLP(12, [9, 7], 3, burn_in=2)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    return net


def test_files_of_version_1_load(engine):
    """A file written before there was a version 2, and what the network in it answered."""
    answers = load_file(FILES / "version1_answers.safetensors")
    found, potentials = sb.load_packed(FILES / "version1.safetensors")(answers["x"].float())
    assert torch.equal(found, answers["spikes"].float())
    assert torch.equal(potentials, answers["potentials"])
    assert found.sum() > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["local", "local ensemble", "average", "snntorch"])
def test_networks_of_version_2_and_of_snntorch_there_and_back(engine, path, name):
    neuron = snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True)
    net, version = {
        "local": (local_network(), "2"),
        "local ensemble": (sb.Ensemble(local_network(), num_members=2, readout="membrane"), "2"),
        "average": (nn.Sequential(sb.nn.BinaryLinear(12, 6), sb.nn.BinaryLinear(6, 3), sb.nn.Refractory()), "2"),
        "snntorch": (nn.Sequential(sb.nn.BinaryLinear(12, 6), neuron, sb.nn.BinaryLinear(6, 3)), "1"),
    }[name]
    packed = sb.pack(net)
    sb.save_packed(packed, path)
    assert parts(path)[1]["version"] == version
    loaded = sb.load_packed(path)
    x = spikes(9, 2, 12)
    assert torch.equal(loaded(x), packed(x))
    assert packed(x).abs().sum() > 0
    sb.save_packed(loaded, path)
    assert torch.equal(sb.load_packed(path)(x), packed(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_neuron_of_snntorch_in_no_file(path):
    net = nn.Sequential(sb.nn.BinaryLinear(12, 6), snn.Alpha(0.9, 0.8, init_hidden=True))
    with pytest.raises(TypeError, match=r"cannot hold a EachStep \(1\)"):
        sb.save_packed(sb.pack(net), path)


# ---- damaged and hostile files -------------------------------------------------------------------


def parts(path):
    with safe_open(path, "pt") as opened:
        return load_file(path), opened.metadata()


def write(path, tensors, metadata, structure=None):
    """Write a file whose checksum is right, whatever it holds."""
    if structure is not None:
        metadata = metadata | {"structure": structure if isinstance(structure, str) else json.dumps(structure)}
    metadata = metadata | {"sha256": file._checksum(metadata["structure"], tensors)}
    save_file(tensors, path, metadata)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        sb.load_packed(tmp_path / "no such file")


def test_other_files(path):
    for content in (b"", b"\0" * 7, b"\xff" * 100, struct.pack("<Q", 2**62) + b"{}", b"PK\x03\x04" + b"x" * 50):
        path.write_bytes(content)
        with pytest.raises(PackedFileError, match="no readable safetensors file"):
            sb.load_packed(path)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(PackedFileError, match="no packed network: its format"):
        sb.load_packed(path)


def test_versions(path):
    sb.save_packed(sb.pack(ensemble_of()), path)
    tensors, metadata = parts(path)
    for version, error, message in (
        ("5", PackedFileVersionError, "has version 5 of the format, and this package reads up to 4: update it"),
        ("0", PackedFileError, "no version 0"),
        ("-1", PackedFileError, "version is no number"),
        ("1e9", PackedFileError, "version is no number"),
        ("9" * 5000, PackedFileError, "version is no number"),
    ):
        write(path, tensors, metadata | {"version": version})
        with pytest.raises(error, match=message):
            sb.load_packed(path)


def test_a_flipped_weight_is_found(path):
    sb.save_packed(sb.pack(ensemble_of()), path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PackedFileError, match="damaged: its contents do not have the checksum"):
        sb.load_packed(path)


def layer_record(structure):
    return structure["net"]["modules"][1][1]


HOSTILE = {
    "code": lambda s: layer_record(s).update(type="os.system"),
    "no type": lambda s: layer_record(s).pop("type"),
    "a list for a type": lambda s: layer_record(s).update(type=["Sequential"]),
    "huge output": lambda s: layer_record(s).update(out_channels=2**60),
    "huge input": lambda s: layer_record(s).update(in_channels=10**30),
    "members": lambda s: layer_record(s).update(members=2**40),
    "other members": lambda s: s.update(num_members=4),
    "negative": lambda s: layer_record(s).update(out_channels=-20),
    "float size": lambda s: layer_record(s).update(out_channels=20.0),
    "true as a size": lambda s: layer_record(s).update(members=True),
    "groups": lambda s: layer_record(s).update(groups=3),
    "zero groups": lambda s: layer_record(s).update(groups=0),
    "huge kernel": lambda s: layer_record(s).update(kernel=[10**9, 10**9, 10**9]),
    "kernel without stride": lambda s: layer_record(s).update(kernel=[1]),
    "no bias tensor": lambda s: layer_record(s).update(bias="yes"),
    "no ensemble": lambda s: layer_record(s).update(ensemble=False),
    "layer as neuron": lambda s: layer_record(s).update(neuron=copy.deepcopy(layer_record(s))),
    "neuron of other width": lambda s: layer_record(s)["neuron"].update(type="Synaptic"),
    "neuron in steps": lambda s: layer_record(s)["neuron"].update(step=True),
    "reset": lambda s: layer_record(s)["neuron"].update(reset_mechanism="explode"),
    "bits from nowhere": lambda s: layer_record(s).update(neuron=None),
    "modules": lambda s: s["net"].update(modules={"0": 1}),
    "a name with a dot": lambda s: s["net"]["modules"][0].__setitem__(0, "a.b"),
    "a name of a method": lambda s: s["net"]["modules"][0].__setitem__(0, "forward"),
    "twice the same name": lambda s: s["net"]["modules"].append(s["net"]["modules"][0]),
    "a scale of infinity": lambda s: s.update(readout_scale=float("inf")),
    "a scale of nan": lambda s: s.update(readout_scale=float("nan")),
    "a scale of words": lambda s: s.update(readout_scale="1"),
    "a readout": lambda s: s.update(readout="__import__('os')"),
    "a seed": lambda s: s.update(seed=2**70),
    "bits to a flattening of floats": lambda s: s["net"]["modules"].insert(2, ["f", {**s["net"]["modules"][0][1]}]),
    "bits at the end": lambda s: s["net"]["modules"].pop(),
    "no member": lambda s: s["net"]["modules"].clear(),
    "nothing packed": lambda s: (s.clear(), s.update(type="Flatten", start_dim=1, end_dim=-1)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_structures_with_a_right_checksum(path, name):
    sb.save_packed(sb.pack(ensemble_of()), path)
    tensors, metadata = parts(path)
    structure = json.loads(metadata["structure"])
    HOSTILE[name](structure)
    write(path, tensors, metadata, structure)
    with pytest.raises(PackedFileError):
        sb.load_packed(path)


HOSTILE_IN_VERSION_2 = {
    "a burn-in of nothing": lambda modules: modules[-1][1].update(steps=0),
    "a burn-in of words": lambda modules: modules[-1][1].update(steps="2"),
    "real input of words": lambda modules: modules[2][1].update(real_input="yes"),
    "real input of each member": lambda modules: modules[2][1].update(shared=False),
    "no time constant": lambda modules: modules[1][1].update(tau_mem=0.0),
    "a time constant of infinity": lambda modules: modules[3][1].update(tau_ref=float("inf")),
    "no normalisation": lambda modules: modules[1][1].update(normalize=1),
    "bits to real numbers": lambda modules: modules.insert(2, ["f", {"type": "PackedFlatten"}]),
    "potentials to a layer": lambda modules: modules[3][1].update(output=True),
    "a trace as neuron": lambda modules: modules[2][1].update(neuron=modules[1][1]),
}


@pytest.mark.parametrize("name", HOSTILE_IN_VERSION_2)
def test_hostile_structures_of_version_2(path, name):
    sb.save_packed(sb.pack(local_network()), path)
    tensors, metadata = parts(path)
    structure = json.loads(metadata["structure"])
    assert [module["type"] for _, module in structure["modules"][1:4]] == ["SynapticTrace", "PackedLayer", "Refractory"]
    HOSTILE_IN_VERSION_2[name](structure["modules"])
    write(path, tensors, metadata, structure)
    with pytest.raises(PackedFileError):
        sb.load_packed(path)


def test_hostile_json(path):
    sb.save_packed(sb.pack(ensemble_of()), path)
    tensors, metadata = parts(path)
    deep = '{"type":"Sequential","modules":[["0",' * 50 + "null" + "]]}" * 50
    for structure in ("", "null", "[1]", "[" * 100_000, "{" * 100_000, '"' + "x" * 10**6, "1" * 10_000, deep):
        write(path, tensors, metadata, structure)
        with pytest.raises(PackedFileError):
            sb.load_packed(path)


def test_hostile_tensors_with_a_right_checksum(path):
    sb.save_packed(sb.pack(ensemble_of()), path)
    tensors, metadata = parts(path)
    weights, scale = "net.1.weights", "net.1.scale"
    for changed in (
        {weights: tensors[weights][:-1].clone()},
        {weights: torch.cat([tensors[weights], tensors[weights]])},
        {weights: tensors[weights].float()},
        {weights: tensors[weights].view(2, -1)},
        {weights: torch.zeros(0, dtype=torch.uint8)},
        {scale: torch.full((1, 1), float("nan"))},
        {scale: torch.ones(3, 19)},
        {scale: torch.ones(1)},
        {scale: torch.ones(1, 1, dtype=torch.float64)},
        {"net.1.neuron.beta": torch.rand(19)},
        {"net.1.neuron.graded_spikes_factor": torch.tensor(2.0)},
    ):
        write(path, tensors | changed, metadata)
        with pytest.raises(PackedFileError):
            sb.load_packed(path)
    for missing in tensors:
        write(path, {name: tensor for name, tensor in tensors.items() if name != missing}, metadata)
        with pytest.raises(PackedFileError, match="has no tensor"):
            sb.load_packed(path)


def mutated(content, chance):
    """A file with some bytes flipped, cut, inserted, repeated, its header's length or its JSON changed."""
    content = bytearray(content)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    kind = chance.randrange(7)
    if kind == 0:
        for _ in range(chance.choice([1, 1, 2, 8])):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del content[chance.randrange(len(content)) :]
    elif kind == 2:
        content[:8] = struct.pack("<Q", chance.choice([0, 1, header - 9, header - 7, 2**31, 2**63, 2**64 - 1]))
    elif kind == 3:
        content[chance.randrange(8, header)] = chance.choice(b'0123456789{}[]":,-ex')
    elif kind == 4:
        at = chance.randrange(len(content))
        content[at:at] = chance.randbytes(chance.randrange(1, 9))
    elif kind == 5:
        at, size = chance.randrange(len(content)), chance.randrange(1, 65)
        content[at : at + size] = chance.randbytes(size)
    else:
        digits = [at for at in range(8, header) if chr(content[at]).isdigit()]
        content[chance.choice(digits)] = ord(chance.choice("0123456789"))
    return bytes(content)


def changed_json(values, chance):
    """A structure with one value, anywhere in it, replaced by another."""
    values = copy.deepcopy(values)
    places, stack = [], [values]
    while stack:
        node = stack.pop()
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, (dict, list)):
                stack.append(value)
    node, key = chance.choice(places)
    others = [None, True, False, -1, 0, 1, 2, 3, 63, 64, 65, 2**31, 2**63, 10**40, 0.5, 1e308, "", "Leaky", [], [1], {}]
    node[key] = chance.choice([*others, chance.choice(places)[0]])
    try:
        return json.dumps(values)
    except ValueError:  # circular
        return None


def loaded_or_none(path):
    """Load; no crash, and no error but the typed one."""
    try:
        return sb.load_packed(path)
    except PackedFileError:
        return None


@pytest.fixture
def path_in_memory(tmp_path):
    """A path where files open fast: on a disk opening takes twenty times as long as loading."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder) / "net.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("files", [500, pytest.param(20_000, marks=pytest.mark.repeated)])
def test_mutated_files(path_in_memory, files):
    """Random damage is found by the checksum; what is loaded answers as what was saved. None takes long or much."""
    path = path_in_memory
    packed = sb.pack(ensemble_of(2))
    sb.save_packed(packed, path)
    content = path.read_bytes()
    x = spikes(4, 2, 5, 8)
    expected = packed(x)
    chance = random.Random(0)
    loaded, slowest, before = 0, 0.0, most_memory()
    for _ in range(files // 2):
        path.write_bytes(mutated(content, chance))
        start = time.process_time()
        network = loaded_or_none(path)
        slowest = max(slowest, time.process_time() - start)
        if network is not None:
            loaded += 1
            assert torch.equal(network(x), expected)
    assert loaded < files / 20
    # The same with structures that somebody changed and signed: an error, or a network of such a structure.
    refusals = (ValueError, TypeError, RuntimeError)
    for written, input_, refused in (
        (packed, x, refusals),
        (sb.pack(local_network()), spikes(4, 2, 12), (*refusals, IndexError)),  # of torch's own Flatten
    ):
        sb.save_packed(written, path)
        tensors, metadata = parts(path)
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        structure = json.loads(metadata["structure"])
        accepted = 0
        for _ in range(files // 4):
            changed = changed_json(structure, chance)
            if changed is None:
                continue
            write(path, tensors, metadata, changed)
            start = time.process_time()
            network = loaded_or_none(path)
            slowest = max(slowest, time.process_time() - start)
            if network is not None:
                accepted += 1
                with contextlib.suppress(*refused):
                    network(input_)
        assert 0 < accepted < files // 4
    assert slowest < 2
    assert most_memory() - before < 96 * 2**20
    print(f"{files} files, the slowest took {slowest:.3f} s, memory grew by {most_memory() - before:,} bytes")


def most_memory():
    """The most memory this process has had, in bytes."""
    resource = pytest.importorskip("resource", reason="this system does not say how much memory a process has had")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
def test_what_a_file_asks_for_is_in_proportion_to_its_size():
    """Sizes that agree with each other, in tiny files: 2^20 members, 2^22 groups, kernels of 255^3."""
    pytest.importorskip("resource", reason="this system does not say how much memory a process has had")
    script = Path(__file__).with_name("reading_memory.py")
    answer = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    results = {row[0]: row[1:] for row in map(json.loads, answer.stdout.splitlines())}
    refused = {name for name, (result, *_) in results.items() if result != "loaded"}
    assert refused == {"members", "members of their own input", "groups", "padding"}
    for name, (result, size, growth) in results.items():
        assert result.count(". ") == 0
        if name != "a layer":  # the first, with which kernels are loaded
            assert growth < MOST_PER_BYTE * size + MOST_AT_ALL
    assert "the file asks for more than 512 times its size and 16 MiB of memory" in results["members"][0]


@pytest.mark.parametrize(
    ("structure", "sentence"),
    [
        ('{"type": "Sequential", "type": "PackedEnsemble", "modules": []}', "the key 'type' stands twice"),
        ('{"type": "Sequential", "modules": [NaN]}', "NaN is no number"),
        ('{"type": "Sequential", "modules": [-Infinity]}', "-Infinity is no number"),
        ('{"type": "Sequential", "modules": [1e999]}', "the number 1e999 is too large"),
        ('{"type": "Sequential", "modules": [1' + "0" * 400 + "]}", "is too large"),
        ('{"type": "Sequential", "modules": ' + "[" * 70 + "]" * 70 + "}", "nested too deeply"),
        (json.dumps({"type": "Sequential", "modules": [["x" * 10_000, {"type": "PackedFlatten"}]]}), "10000 letters"),
        (
            json.dumps({"type": "Sequential", "modules": [["p", POOLING | {"kernel": [1024] * 3}]]}),
            "`kernel` of module 'p' has to be a window that max pooling has",
        ),
        (
            json.dumps({"type": "Sequential", "modules": [["p", POOLING | {"padding_before": [2] * 3}]]}),
            "at most half of it in padding",
        ),
    ],
)
def test_numbers_words_and_windows_that_no_file_needs(path, structure, sentence):
    sb.save_packed(sb.pack(ensemble_of()), path)
    tensors, metadata = parts(path)
    write(path, tensors, metadata, structure)
    with pytest.raises(PackedFileError, match=sentence) as raised:
        sb.load_packed(path)
    assert len(str(raised.value)) < 400


def test_a_real_layer_of_no_inputs_has_no_width(path):
    """Its weights take no bytes, so nothing bears out its outputs."""
    net = nn.Sequential(sb.nn.BinaryLinear(12, 6), sb.nn.Leaky(0.9), nn.Linear(6, 2, bias=False))
    sb.save_packed(sb.pack(net), path)
    tensors, metadata = parts(path)
    write(path, tensors | {"2.weight": torch.zeros(2**40, 0)}, metadata)
    with pytest.raises(PackedFileError, match="'2' has no weight of two dimensions"):
        sb.load_packed(path)


def test_an_entry_says_where(path):
    with pytest.raises(PackedFileError, match=r"`type` of module 'a\.b' has to be one of"):
        file.read(Entry({"type": 3}, {}, "a").child({}, "b"))


def test_a_packed_layer_takes_bits_after_loading(engine, path):
    net = nn.Sequential(sb.nn.BinaryLinear(64, 32), sb.nn.Leaky(beta=0.9, threshold=0.2), sb.nn.BinaryLinear(32, 4))
    packed = sb.pack(net)
    sb.save_packed(packed, path)
    loaded = sb.load_packed(path)
    assert isinstance(loaded[0], PackedLayer)
    x = spikes(5, 2, 64)
    assert torch.equal(loaded(SpikeBits.of(x)), net.eval()(x))
