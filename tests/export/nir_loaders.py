"""How a NIR graph runs elsewhere: in Norse, in snnTorch, in nirtorch with a textbook neuron; and how networks step."""

import contextlib
import io

import nir
import pytest
import torch

import snntorch_binary as sb

DT = 1e-4
# Norse's import and the functions of nirtorch that Norse and snnTorch call; nothing of this package.
DEPRECATED = (
    "ignore:.*torch.jit.*deprecated:DeprecationWarning",
    "ignore:nirtorch.load is being deprecated:DeprecationWarning",
)


def stepped(net, x):
    """Outputs [T, B, ...] of a network that takes a time step at a time and keeps its state itself."""
    sb.reset(net)
    with torch.no_grad():
        outputs = [net(x_t) for x_t in x]
    return torch.stack([output[0] if isinstance(output, tuple) else output for output in outputs])


def _executed(module, x):
    state, outputs = None, []
    with torch.no_grad():
        for x_t in x:
            y, state = module(x_t, state)
            outputs.append(y)
    return torch.stack(outputs)


def in_norse(graph, x):
    norse = pytest.importorskip("norse.torch", reason="Norse is not installed")

    return _executed(norse.from_nir(graph, dt=DT), x)


def in_snntorch(graph, x):
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()):
        module = import_from_nir(graph)
    return _executed(module, x)


class Euler(torch.nn.Module):
    """NIR's LIF by Euler's rule in float64, as its paper has it."""

    def __init__(self, node):
        super().__init__()
        self.node = node

    def forward(self, x, state=None):
        rate, r, threshold = (torch.from_numpy(v) for v in (DT / self.node.tau, self.node.r, self.node.v_threshold))
        v = torch.zeros_like(x, dtype=torch.float64) if state is None else state
        v = v + rate * (r * x - v)
        spikes = (v > threshold).to(x.dtype)
        return spikes, v * (1 - spikes)


def _affine(node):
    layer = torch.nn.Linear(node.weight.shape[1], node.weight.shape[0])
    layer.weight.data, layer.bias.data = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    return layer  # nirtorch's own forgets the bias


def in_nirtorch(graph, x):
    import nirtorch

    return _executed(nirtorch.nir_to_torch(graph, {nir.LIF: Euler, nir.Affine: _affine}), x)


def through_file(graph, folder):
    """The graph as a file gives it back, and the path of the file."""
    path = folder / "net.nir"
    nir.write(path, graph)
    return nir.read(path), path
