"""What LightningModules of drawn weights answer: their mode, one draw, and an ensemble."""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.inference import sample_scores
from snntorch_binary.inference.arguments import Inputs
from snntorch_binary.inference.readout import NUM_SAMPLES
from snntorch_binary.lightning.spiking_module import SpikingModule


def check_counts(**counts: int) -> None:
    """Raise the house sentence unless numbers of members are such.

    Raises:
        ValueError: one is no integer of at least 1.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(expected(name, "an integer of at least 1", count))


class AnswersWithDraws(SpikingModule):
    """A module whose network has a posterior, and answers with its mode, one draw of it, and an ensemble.

    Attributes:
        num_validation_samples: members of the ensemble in validation.
        num_test_samples: members of the ensemble in test and predict.
    """

    predictions = ("mode", "draw", "ensemble")
    num_validation_samples: int = 3
    num_test_samples: int = NUM_SAMPLES

    def _answer_with(self, num_validation_samples: int, num_test_samples: int) -> None:
        check_counts(num_validation_samples=num_validation_samples, num_test_samples=num_test_samples)
        self.num_validation_samples, self.num_test_samples = num_validation_samples, num_test_samples

    def scores(self, x: Inputs, final: bool) -> dict[str, Tensor]:
        """Return the scores of the mode and of one draw, [1, B, C] each, and of the ensemble's members, [K, B, C]."""
        net, step, time_dim = self.answering(x)
        mode, members = sample_scores(
            net,
            x,
            self.num_test_samples if final else self.num_validation_samples,
            readout=self.readout,
            readout_scale=self.readout_scale,
            step=step,
            time_dim=time_dim,
            generator=torch.Generator().manual_seed(0),  # the same members for every batch, also after a resume
            norms=self.norms,
        )
        return {"mode": mode[None], "draw": members[:1], "ensemble": members}
