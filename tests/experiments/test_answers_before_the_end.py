"""Answers after each time step: those after the last are the tested ones, whatever the network returns."""

import io

import pytest
import snntorch as snn
import torch
from rich.console import Console
from torch import nn

from snntorch_binary.experiments import compare
from snntorch_binary.experiments.compare.anytime import _by_time

RULES = ["full-precision", "balanced", {"balanced-bayes": {"num_members": 3}}, {"trajectory": {"num_members": 3}}]


def both_outputs(hidden=9):
    return nn.Sequential(
        nn.Linear(4, hidden),
        snn.Leaky(beta=0.8, init_hidden=True),
        nn.Linear(hidden, 3),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


def recordings():
    generator = torch.Generator().manual_seed(0)

    def part(count):
        return (torch.rand(count, 5, 4, generator=generator) < 0.6).float(), torch.arange(count) % 3

    return {"train": part(300), "validation": part(6), "test": part(9)}


@pytest.mark.parametrize("readout", ["auto", "rate", "membrane"])
def test_the_last_answer_is_the_tested_one(readout, tmp_path):
    given = {"rules": RULES, "epochs": 2, "seeds": [0], "readout": readout, "console": Console(file=io.StringIO())}
    comparison = compare(both_outputs, recordings, out=tmp_path / "out", **given)
    for run in comparison.runs:
        module, data = comparison.load(run)
        found = _by_time(module, data.test())
        assert found.keys() == run.probabilities.keys()
        for name, probabilities in found.items():
            torch.testing.assert_close(
                probabilities[-1].float(), run.probabilities[name], rtol=1e-4, atol=1e-5, msg=name
            )
