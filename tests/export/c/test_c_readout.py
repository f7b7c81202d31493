"""What a network makes of its outputs: class scores of its own, in C as in Python, or a sentence."""

import loops
import pytest
import torch

import snntorch_binary as sb


@pytest.mark.parametrize(
    "readout",
    [
        lambda out: out.sum(0) / 10,
        lambda out: 2 * out.mean(0),
        lambda out: -out.sum(0),
        lambda out: out.sum(0).view(-1, 4),
        lambda out: out.sum(0).squeeze(),
        lambda out: out.sum(0)[:, [3, 0, 2]],
        lambda out: out.sum(0).flip(1).to(torch.float32),
    ],
)
def test_class_scores(readout, tmp_path):
    loops.check(lambda net, x: readout(net.spikes(x)), loops.sequence(), tmp_path)


@pytest.mark.parametrize(
    "readout",
    [
        lambda out: 10 / (1 + out).sum(0),
        lambda out: 10 - out.sum(0),
        lambda out: out.sum(0) + 1,
        lambda out: torch.relu(out.sum(0)),
        lambda out: torch.cat([out.sum(0), out.mean(0)], 1),
        lambda out: out.sum(0).view(-1, 2, 2).sum(2),
    ],
)
def test_class_scores_without_a_form(readout, tmp_path):
    x = loops.sequence()
    packed = loops.packed(lambda net, x: readout(net.spikes(x)), x)
    with pytest.raises(sb.export.CExportError, match="what is computed of outputs over all time steps"):
        sb.export.to_c(packed, tmp_path / "c", sample=x)
    assert not list(tmp_path.iterdir())
