"""Programs of torch.export and ONNX files of networks with Norse's cells that own binary weights."""

import pytest

pytest.importorskip("norse.torch", reason="Norse is not installed")

import norse.torch as norse
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export import to_onnx, to_torch_export
from snntorch_binary.norse import BinarySynapses


class Net(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.fc, self.cell = nn.Linear(6, 8), getattr(norse, cell)(8, 5)

    def forward(self, x):
        state, found = None, []
        for x_t in x:
            y, state = self.cell(5 * self.fc(x_t), state)
            found.append(y)
        return torch.stack(found)


def made(cell, rule):
    torch.manual_seed(0)
    net = Net(cell).eval()
    sb.binarize_(net, rule)
    return net, torch.rand(8, 3, 6)


@pytest.mark.parametrize("cell", ["LILinearCell", "LIFRecurrentCell", "LSNNRecurrentCell"])
def test_weights_of_cells_are_fixed_and_plain(cell):
    net, x = made(cell, sb.Sign())
    program = to_torch_export(net, x)
    with torch.no_grad():
        answer = net(x)
        torch.testing.assert_close(program.module()(x), answer)
    assert bool(answer.any())
    weight = program.state_dict["cell.input_weights"]
    assert torch.equal(weight, net.cell.input_weights)
    assert len(weight.abs().unique()) == 1
    assert "synapses" not in " ".join(program.state_dict)
    assert isinstance(net.cell.synapses["input_weights"], BinarySynapses)  # left as it was


def test_a_draw_of_a_posterior_is_exported_for_layers_and_cells_alike():
    net, x = made("LIFRecurrentCell", sb.Bernoulli())
    program = to_torch_export(net, x, weights=3)
    with sb.sampled(net, "binary", torch.Generator().manual_seed(3)), torch.no_grad():
        torch.testing.assert_close(program.module()(x), net(x))
        assert torch.equal(program.state_dict["cell.recurrent_weights"], net.cell.recurrent_weights)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_onnxruntime_gives_the_same(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net, x = made("LIFRecurrentCell", sb.Sign())
    to_onnx(net, x, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(answer), net(x))
