"""What stands behind the last neurons is left out of a NIR graph where it leaves the classes in their places."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

pytest.importorskip("nir")


class Returns(nn.Module):
    """Spikes of a layer, to which a test does something at every step, and something to all of them."""

    def __init__(self, behind, at_step=lambda spikes: spikes, before=False):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 4), snn.Leaky(beta=0.9, threshold=0.3, reset_mechanism="zero")
        self.behind, self.at_step, self.before = behind, at_step, before

    def forward(self, x):
        mem, spikes, found = self.lif.init_leaky(), torch.zeros(x.shape[1], 4), []
        for x_t in x:
            last = spikes
            spikes, mem = self.lif(self.fc(x_t), mem)
            found.append(self.at_step(last if self.before else spikes))
        return self.behind(torch.stack(found))


def _exported(net):
    torch.manual_seed(0)
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(7, 3, 12) < 0.5).float()
    return net.eval(), x, sb.export.to_nir(net, x)


@pytest.mark.parametrize(
    ("behind", "of_spikes"),
    [
        (lambda out: out.sum(0), lambda spikes: spikes.sum(0)),
        (lambda out: out.permute(1, 2, 0), lambda spikes: spikes.permute(1, 2, 0)),
        (lambda out: out[2:], lambda spikes: spikes[2:]),
        (lambda out: out.mean(0).log_softmax(1), lambda spikes: spikes.mean(0).log_softmax(1)),
        (lambda out: (out.sum(0) - 30).relu(), lambda spikes: torch.zeros(3, 4)),
        (lambda out: out.view(7, 3, 2, 2).sum(2), lambda spikes: spikes.view(7, 3, 2, 2).sum(2)),
        (lambda out: out.sum(0).argmax(1), lambda spikes: spikes.sum(0).argmax(1)),
    ],
)
def test_what_leaves_classes_in_their_places(behind, of_spikes):
    net, x, graph = _exported(Returns(behind))
    spikes = sb.export.from_nir(graph)(x)
    assert bool(spikes.any())
    torch.testing.assert_close(of_spikes(spikes), net(x))


OTHERS = "outputs that are not one class for each of the last neurons in their order"
CHANGED = {
    "another order": (Returns(lambda out: out[:, :, [3, 1, 2, 0]]), OTHERS),
    "another order of counts": (Returns(lambda out: out.sum(0)[:, [1, 0, 2, 3]]), OTHERS),
    "backwards": (Returns(lambda out: out.flip(2)), OTHERS),
    "backwards at every step": (Returns(lambda out: out, at_step=lambda spikes: spikes.flip(1)), OTHERS),
    "some of them": (Returns(lambda out: out[:, :, :2]), OTHERS),
    "silence": (Returns(lambda out: 1 - out), OTHERS),
    "silence at every step": (Returns(lambda out: out.sum(0), at_step=lambda spikes: 1 - spikes), OTHERS),
    "less": (Returns(lambda out: -out.sum(0)), OTHERS),
    "the step before": (Returns(lambda out: out, before=True), "outputs of the step before"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_makes_other_classes(case):
    net, said = CHANGED[case]
    with pytest.raises(sb.export.NIRExportError, match=f"NIR cannot express {said}: return"):
        _exported(net)
