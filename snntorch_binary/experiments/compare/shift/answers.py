"""What trained networks answer to degraded test parts, kept beside their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._files import RunFolder
from snntorch_binary.data.corruptions import Corruption
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.compare.comparison import Comparison, Run, files_of
from snntorch_binary.experiments.compare.predictors import Predictor, gather
from snntorch_binary.experiments.compare.shift.inputs import DegradedTest, chosen
from snntorch_binary.experiments.data import ShippedData

FORMAT = 1
"""Number of the corruptions as they are now: answers to others are not taken for these."""


def answer_all(comparison: Comparison, corruptions: Sequence[Corruption]) -> None:
    """Have each run answer the test part under each corruption, where it has not already.

    Raises:
        OSError: a file cannot be written.
    """
    source = comparison.experiment.data
    assert isinstance(source, ShippedData)
    with comparison.console.status("") as status:
        for number, run in enumerate(comparison.runs, 1):
            files = files_of(comparison, run)
            missing = [one for one in corruptions if kept(files, run, one) is None]
            if not missing:
                continue
            module, data = comparison.load(run)
            assert data.splits is not None
            test = DegradedTest(source, data.splits.test, run.fold)

            def answer(x: Tensor, of: Any = module) -> dict[str, Tensor]:
                found: dict[str, Tensor] = of.answers(x.to(of.device), final=True)
                return found

            for one in missing:
                status.update(f"{run.folder.name} ({number} of {len(comparison.runs)}) under {one.title}")
                each = [answers(test.batches(one, strength), answer) for strength in one.strengths]
                found = {name: torch.stack([of[name] for of in each]) for name in module.predictions}
                files.write_tensors(_file(one), {**_about(run, one), "probabilities": found})


def kept(files: RunFolder, run: Run, corruption: Corruption) -> dict[str, Tensor] | None:
    """Return class probabilities [strengths, N, C] of each prediction by name, or ``None`` where there are none.

    A file that is damaged is said to be made anew; one of other strengths is not taken either.
    """
    found = files.read_tensors(_file(corruption))
    if found is None or {name: found.get(name) for name in _about(run, corruption)} != _about(run, corruption):
        return None
    probabilities: dict[str, Tensor] = found["probabilities"]
    return probabilities


def by_predictor(
    comparison: Comparison, answered: Callable[[Run], dict[str, Tensor]]
) -> dict[Predictor, dict[int | None, Tensor]]:
    """Return the probabilities [strengths, N, C] of each predictor by seed, the folds joined in their order.

    Args:
        comparison: the comparison.
        answered: returns those of a run, by prediction.
    """
    found = {run.folder: answered(run) for run in comparison.runs}
    one_after_another = [
        replace(run, probabilities={name: of.flatten(0, 1) for name, of in found[run.folder].items()})
        for run in comparison.runs
    ]
    shapes = {run.fold: next(iter(found[run.folder].values())).shape for run in comparison.runs}
    sizes = [shapes[fold][:2] for fold in sorted(shapes)]

    def joined(flat: Tensor) -> Tensor:
        parts = flat.split([strengths * examples for strengths, examples in sizes])
        return torch.cat([part.unflatten(0, size) for part, size in zip(parts, sizes, strict=True)], 1)

    gathered = gather(replace(comparison, runs=one_after_another))
    return {
        predictor: {seed: joined(flat) for seed, flat in answers.test.items()}
        for predictor, answers in gathered.items()
    }


def _file(corruption: Corruption) -> str:
    return f"shift-{corruption.name}.pt"


def _about(run: Run, corruption: Corruption) -> dict[str, Any]:
    strengths = [float(strength) for strength in corruption.strengths]
    return {"format": FORMAT, "strengths": strengths, "num_examples": len(chosen(len(run.labels)))}
