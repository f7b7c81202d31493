"""Transposed convolutions, packed: the same bits as the layer, in memory and from a file."""

import itertools
import json

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.packed import PackedFileError
from snntorch_binary.packed.file import save_and_load
from snntorch_binary.packed.geometry import Geometry

pytest.importorskip("safetensors")
from safetensors.torch import load_file, safe_open, save_file

LAYERS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def spikes(*shape):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.4).float()


GEOMETRIES = [
    {"groups": groups, "stride": stride, "padding": padding, "output_padding": more, "dilation": dilation}
    for groups, stride, padding, more, dilation in itertools.product((1, 2), (1, 2, 3), (0, 1), (0, 1), (1, 2))
    if more < max(stride, dilation)
]


@pytest.mark.slow
@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize("scale", ["fan_in", "channel"])
def test_every_geometry(spatial, scale, engine, tmp_path):
    for options, kernel in list(itertools.product(GEOMETRIES, (2, 3)))[spatial::7]:
        net = nn.Sequential(LAYERS[spatial - 1](4, 6, kernel, **options), sb.nn.Leaky(beta=0.9)).eval()
        sb.binarize_(net, sb.Sign(), scale=scale)
        currents, x = net[:1], spikes(3, 2, 4, *(4,) * spatial)
        packed = sb.pack(net)
        assert torch.equal(packed(x), net(x)), options
        assert torch.equal(sb.pack(currents)(x), currents(x)), options
        assert torch.equal(sb.pack(currents, real_input=["0"])(x * 0.3), currents(x * 0.3)), options
        torch.testing.assert_close(packed[0].weight, net[0].weight.detach().as_subclass(torch.Tensor))
        sb.save_packed(packed, tmp_path / "packed.safetensors")
        assert torch.equal(sb.load_packed(tmp_path / "packed.safetensors")(x), net(x)), options


def test_one_bit_a_weight_frozen_or_in_a_loop(tmp_path):
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.up = nn.Linear(10, 4 * 9), nn.ConvTranspose2d(4, 2, 3, 2, 1, 1)
            self.lif = snn.Leaky(beta=0.5, init_hidden=True)

        def forward(self, x):
            return torch.stack([self.up(self.lif(self.fc(step)).unflatten(1, (4, 3, 3))) for step in x])

    net, x = Decoder().eval(), spikes(5, 2, 10)
    sb.binarize_(net, sb.Sign())
    packed = sb.pack(net, x)
    assert packed.report["up"] == "1 bit a weight, counts spikes"
    net.lif.reset_mem()
    assert torch.equal(packed(x), net(x))
    sb.save_packed(packed, tmp_path / "packed.safetensors")
    assert torch.equal(sb.load_packed(tmp_path / "packed.safetensors")(x), packed(x))


class Told(nn.Module):
    """A transposed convolution that is told the size of its output, and a layer whose input has its name."""

    def __init__(self, size, by_name):
        super().__init__()
        self.up, self.fc, self.size, self.by_name = nn.ConvTranspose1d(2, 3, 3, 2), nn.Linear(9, 4), size, by_name

    def forward(self, x):
        up = self.up(x, output_size=[self.size]) if self.by_name else self.up(x, [self.size])
        return self.fc(input=up)


@pytest.mark.parametrize("by_name", [True, False])
def test_an_output_size_that_is_asked_for(by_name):
    net, x = Told(9, by_name).eval(), spikes(4, 2, 4)
    sb.binarize_(net, sb.Sign())
    packed = sb.pack(net, x)
    assert "more than an input" in packed.report["up"]
    assert packed.report["fc"] == "1 bit a weight, multiplies real numbers"
    torch.testing.assert_close(packed(x), net(x))
    layer = sb.pack(nn.Sequential(net.up))[0]
    assert torch.equal(layer(x, output_size=[9]), net.up(x, output_size=[9]))
    with pytest.raises(ValueError, match=r"`output_size` to be \[9\], as the packed layer gives, but got \[10\]"):
        layer(x, [10])


def test_what_torch_cuts_off_is_not_packed():
    net = nn.Sequential(sb.nn.BinaryConvTranspose1d(2, 2, 1, padding=1))
    with pytest.raises(ValueError, match="padding larger than what its kernel covers"):
        sb.pack(net)


@pytest.mark.parametrize(
    "change", [{"spread": [0]}, {"spread": [2, 2]}, {"spread": "2"}, {"stride": [2]}, {"padding_after": [5]}]
)
def test_a_damaged_file_is_one_sentence(change, tmp_path):
    net = nn.Sequential(sb.nn.BinaryConvTranspose1d(2, 2, 3, 2, 1))
    path = tmp_path / "packed.safetensors"
    sb.save_packed(sb.pack(net), path)
    with safe_open(path, "pt") as file:
        meta = file.metadata()
    (key,) = [key for key, text in meta.items() if "spread" in text]
    described = json.loads(meta[key])

    def changed(value):
        if isinstance(value, dict):
            return {name: changed(part) for name, part in value.items()} | (change if "spread" in value else {})
        return [changed(part) for part in value] if isinstance(value, list) else value

    tensors = load_file(path)
    meta[key] = json.dumps(changed(described))
    meta["sha256"] = save_and_load._checksum(meta[key], tensors)
    save_file(tensors, path, meta)
    with pytest.raises(PackedFileError, match=r"spread|spatial|padding"):
        sb.load_packed(path)


def test_a_file_cannot_ask_for_endless_growth():
    with pytest.raises(ValueError, match="`spread` to be of at most 4096 positions for one"):
        Geometry((1,) * 3, (1,) * 3, (1,) * 3, ((0, 0),) * 3, (64,) * 3)
