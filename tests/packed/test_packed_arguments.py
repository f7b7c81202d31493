"""Packed networks whose `forward` takes several arguments, in memory and in a file."""

import json

import pytest
import snntorch as snn
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import snntorch_binary as sb
from snntorch_binary.packed import PackedFileError
from snntorch_binary.packed.file.save_and_load import _checksum

T, B, IN, M, C = 5, 4, 64, 32, 3


class Net(nn.Module):
    """A second input where there is one, and a number of steps or a flag between."""

    def __init__(self):
        super().__init__()
        self.fc, self.context = nn.Linear(IN, C), nn.Linear(M, C)
        self.lif = snn.Leaky(beta=0.9, threshold=2.0)


class Image(Net):
    def forward(self, x, num_steps, *others):
        mem, spikes = self.lif.init_leaky(), []
        for _ in range(num_steps):
            spk, mem = self.lif(self.fc(x), mem)
            spikes.append(spk)
        return torch.stack(spikes)


class Between(Net):
    """A flag between two sequences."""

    def forward(self, x, doubled, context):
        mem, spikes = self.lif.init_leaky(), []
        for x_t, context_t in zip(x, context, strict=True):
            current = self.fc(x_t) + self.context(context_t)
            spk, mem = self.lif(2 * current if doubled else current, mem)
            spikes.append(spk)
        return torch.stack(spikes)


def spikes(*shape):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(shape[0])) < 0.4).float()


NETS = {
    "number of steps": (Image, lambda: (spikes(B, IN), 5)),
    "others": (Image, lambda: (spikes(B, IN), 5, None, True, 0.5, "rate", 2**70)),
    "between": (Between, lambda: (spikes(T, B, IN), True, spikes(T, B, M))),
}


def made(name, rule=sb.Sign(), scale=None):  # noqa: B008  # it is not changed
    torch.manual_seed(0)
    make, args = NETS[name]
    net = make().eval()
    sb.binarize_(net, rule, scale=scale)
    return net, args()


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("fused", [False, True])
def test_it_is_called_as_the_network_is(name, fused, tmp_path):
    net, args = made(name)
    packed = sb.pack(sb.fuse(net, args)) if fused else sb.pack(net, args)
    sb.save_packed(packed, tmp_path / "net.safetensors")
    want = net(*args)
    assert 0 < want.mean() < 1
    for each in (packed, sb.load_packed(tmp_path / "net.safetensors")):
        assert torch.equal(each(*args), want)
        assert each.fixed_arguments == {
            place: value for place, value in enumerate(args) if not isinstance(value, torch.Tensor)
        }


@pytest.mark.parametrize("loaded", [False, True])
def test_other_arguments_than_the_samples(loaded, tmp_path):
    net, (x, doubled, context) = made("between")
    packed = sb.pack(net, (x, doubled, context))
    if loaded:
        sb.save_packed(packed, tmp_path / "net.safetensors")
        packed = sb.load_packed(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"^Expected argument `args` to be True, as in the sample, but got False\.$"):
        packed(x, False, context)
    with pytest.raises(ValueError, match="`args` to be True, as in the sample, but got a tensor"):
        packed(x, context, True)
    with pytest.raises(ValueError, match="`inputs` to be 3 of them, but got 2"):
        packed(x, context)
    more = spikes(T + 3, B, IN), True, spikes(T + 3, B, M)
    assert torch.equal(packed(*more), net(*more))


def test_the_version_of_the_file(tmp_path):
    """Readers that do not know such arguments say so, and files without are as they were."""
    path = tmp_path / "net.safetensors"
    for args, version in (((spikes(B, IN), 5), "4"), ((spikes(T, B, IN),), "3")):
        net = made("number of steps")[0] if len(args) == 2 else nn.Sequential(sb.nn.BinaryLinear(IN, C))
        sb.save_packed(sb.pack(net, args), path)
        with safe_open(path, framework="pt") as file:
            assert file.metadata()["version"] == version
            assert ("fixed_arguments" in json.loads(file.metadata()["structure"])) == (version == "4")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("inf"), "A packed file cannot hold inf among the arguments of a network."),
        (torch.float32, "A packed file cannot hold a dtype among the arguments of a network."),
    ],
)
def test_arguments_that_no_file_holds(value, message, tmp_path):
    net, args = made("number of steps")
    packed = sb.pack(net, (*args, value))
    assert torch.equal(packed(*args, value), net(*args))
    with pytest.raises(TypeError, match=message):
        sb.save_packed(packed, tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    "fixed",
    [
        {},
        None,
        5,
        [5],
        [[1]],
        [[1, 5, 5]],
        [["1", 5]],
        [[True, 5]],
        [[-1, 5]],
        [[2, 5]],
        [[1, 5], [1, 5]],
        [[1, [5]]],
        [[1, {"ref": 0}]],
    ],
)
def test_damaged_arguments(fixed, tmp_path):
    path = tmp_path / "net.safetensors"
    sb.save_packed(sb.pack(*made("number of steps")), path)
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    structure = json.loads(metadata["structure"])
    assert structure["fixed_arguments"] == [[1, 5]]
    structure["fixed_arguments"] = fixed
    text = json.dumps(structure)
    save_file(tensors, path, {**metadata, "structure": text, "sha256": _checksum(text, tensors)})
    with pytest.raises(PackedFileError, match="fixed_arguments` of module '' has to be a list of pairs"):
        sb.load_packed(path)


@pytest.mark.parametrize("name", ["number of steps", "between"])
def test_an_ensemble(name, tmp_path):
    net, args = made(name, sb.Bernoulli(init_scale=0.4), scale=0.25)  # a power of two, by which sums are exact
    ensemble = sb.Ensemble(net, 3, seed=1)
    packed = sb.pack(ensemble, args)
    sb.save_packed(packed, tmp_path / "net.safetensors")
    for each in (packed, sb.load_packed(tmp_path / "net.safetensors")):
        assert torch.equal(each(args), ensemble(args))
        assert torch.equal(each.predict(args).samples, ensemble.predict(args).samples)
    with pytest.raises(ValueError, match="as in the sample, but got 3"):
        packed.predict((args[0], 3, *args[2:]))


class OneStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = sb.nn.BinaryLinear(IN, C), snn.Leaky(beta=0.9, init_hidden=True)

    def forward(self, x, context):
        return self.lif(self.fc(x) + context)


def test_an_ensemble_of_single_steps_with_several_arguments():
    args = spikes(T, B, IN), torch.rand(B, C)
    message = "`sample` to be one sequence .* is one time step, but got a tuple of 2 arguments"
    with pytest.raises(ValueError, match=message):
        sb.pack(sb.Ensemble(OneStep(), 2), args)
    with pytest.raises(ValueError, match=message):
        sb.fuse(OneStep(), args, step=True)


def test_in_c_it_is_the_number_of_steps_of_the_sample(tmp_path):
    net, (x, num_steps) = made("number of steps")
    sb.export.to_c(sb.pack(net, (x, num_steps)), tmp_path / "net", sample=x, time_dim=None)
    assert any((tmp_path / "net").iterdir())
