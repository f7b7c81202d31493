"""Checkpoints that `compare` writes answer real test data in C as packed: class, scores and spikes at every step."""

import os
from dataclasses import dataclass
from pathlib import Path

import boards
import figures
import host
import networks
import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.cli import main
from snntorch_binary.data import load
from snntorch_binary.experiments import load_run
from snntorch_binary.inference import logits

# Lightning's advice about DataLoader workers and TensorBoard, and a deprecated call of its own.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning",
        "ignore:Starting from v1.9.0, `tensorboardX` has been removed:UserWarning",
        "ignore:.*LeafSpec.* is deprecated:FutureWarning",
    ),
]
# Of each experiment the data set and the classes; N-MNIST's test part has enough recordings of these four only.
EXPERIMENTS = {
    "digits": ("digits", "all"),
    "nmnist": ("nmnist", (6, 7, 8, 9)),
    "nmnist-conv": ("nmnist", (6, 7, 8, 9)),
    "spoken-digits": ("spoken-digits", "all"),
}
RULES = ("st", "bayes")
INPUTS = 200


@dataclass
class Exported:
    """A checkpoint in C, inputs, and its answers: scores by step, and spikes of the last hidden layer as words."""

    folder: Path
    x: torch.Tensor
    scores: torch.Tensor
    spikes: torch.Tensor
    trained: torch.Tensor  # the class scores of the network itself


@pytest.fixture(scope="module", params=EXPERIMENTS)
def exported(request, tmp_path_factory):
    """What is exported of each rule."""
    experiment, (data, classes) = request.param, EXPERIMENTS[request.param]
    data_dir = os.environ.get("SNNTORCH_BINARY_DATA")
    if data != "digits" and not data_dir:
        pytest.skip("SNNTORCH_BINARY_DATA does not name a folder with the real data sets")
    here = tmp_path_factory.mktemp(experiment)
    from_data = ["--data-dir", data_dir] if data_dir else []
    tiny = ["--epochs", "1", "--seeds", "0", "--limit-per-class", "5", "--jobs", "1", "--rules", ",".join(RULES)]
    chosen = [] if classes == "all" else ["--classes", ",".join(map(str, classes))]
    with pytest.MonkeyPatch.context() as patch, figures.left_undrawn():
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "shared-cache"))
        assert main(["compare", experiment, *from_data, *tiny, *chosen, "--out", str(here)]) == 0
        for rule in RULES:
            run, out = str(here / "runs" / f"{rule}-seed0"), str(here / rule)
            assert main(["export", "--to", "c", "--name", "net", *from_data, run, out]) == 0
        x, _ = load(data, data_dir, classes=classes).test.__getitems__(range(INPUTS))
    return {rule: _expected(here / rule, load_run(here / "runs" / f"{rule}-seed0"), x) for rule in RULES}


def _expected(folder, run, x):
    packed, scale = sb.pack(run.net.eval()), run.description.reading["readout_scale"]
    hidden = packed[:-1](x)
    spikes = hidden if isinstance(hidden, torch.Tensor) else hidden.unpack()
    words = [[host.words_of(step) for step in example] for example in spikes.unbind(1)]
    scores = networks.scores_by_step(networks.Case(packed, x, counts=False), scale)
    return Exported(folder, x, scores, torch.tensor(words), logits(run.net(x).detach(), "membrane", scale))


@pytest.mark.parametrize("machine", ["host", "host as C++", "cortex-m4", "riscv"])
@pytest.mark.parametrize("rule", RULES)
def test_answers_as_the_checkpoint(exported, rule, machine, tmp_path):
    board, wanted = boards.BOARDS[machine], exported[rule]
    boards.check(board)
    found = boards.shown(board, wanted.folder, wanted.x, tmp_path, spike_words=wanted.spikes.shape[-1])
    assert wanted.spikes.flatten(1).any(1).all()
    assert torch.equal(found.spikes, wanted.spikes)
    assert torch.equal(found.scores.permute(1, 2, 0, 3), wanted.scores)
    labels = torch.tensor([label for label, _ in found.answers])
    assert torch.equal(labels, wanted.scores[-1, 0].argmax(-1))
    torch.testing.assert_close(found.scores[:, -1, 0], wanted.trained, rtol=1e-4, atol=1e-4)
