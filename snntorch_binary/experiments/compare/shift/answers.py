"""What trained networks answer to degraded test parts, kept beside their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._files import RunFolder
from snntorch_binary._processes import in_processes
from snntorch_binary.data.corruptions import Corruption
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.compare.comparison import Comparison, Run, files_of
from snntorch_binary.experiments.compare.predictors import Predictor, gather
from snntorch_binary.experiments.compare.shift.inputs import DegradedTest, chosen
from snntorch_binary.experiments.compare.train import load_module
from snntorch_binary.experiments.data import ShippedData
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.experiments.runs import run_files

FORMAT = 1
"""Number of the corruptions as they are now: answers to others are not taken for these."""


def answer_all(comparison: Comparison, corruptions: Sequence[Corruption], jobs: int = 1) -> None:
    """Have each run answer the test part under each corruption, where it has not already.

    Args:
        comparison: the comparison.
        corruptions: the corruptions.
        jobs: how many runs answer at once, each in a process of its own; with one thread on a processor, so that the
            answers are those of every number of jobs.

    Raises:
        OSError: a file cannot be written.
        ProcessEndedError: a process was ended.
    """
    todo = []
    for run in comparison.runs:
        files = files_of(comparison, run)
        missing = [one for one in corruptions if kept(files, run, one) is None]
        if missing:
            # Not the run itself: in another process each of its tensors is a file that stays open.
            todo.append((comparison.experiment, missing, run.folder, (run.rule, run.seed, run.fold)))
    with comparison.console.status("") as status:

        def say(done: int) -> None:
            status.update(f"{done} of {len(todo)} networks have answered degraded inputs")

        say(0)
        if jobs == 1 or len(todo) < 2:
            for number, given in enumerate(todo, 1):
                answer_under(*given)
                say(number)
        else:
            work = {number: (answer_under, *given) for number, given in enumerate(todo)}
            for number, _ in enumerate(in_processes(work, min(jobs, len(todo))), 1):
                say(number)


def answer_under(
    experiment: Experiment, corruptions: Sequence[Corruption], folder: Path, place: tuple[str, int, int]
) -> None:
    """Have one run answer the test part under each corruption, and write what it does.

    Args:
        experiment: what it is of.
        corruptions: of the test part.
        folder: its folder.
        place: its rule, seed and fold.

    Raises:
        OSError: a file cannot be written.
    """
    source, files = experiment.data, run_files(folder, *experiment.run(*place))
    assert isinstance(source, ShippedData)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums is then that of every number of jobs
    try:
        module, data = load_module(experiment, *place, folder)
        assert data.splits is not None
        examples = data.splits.test
        test = DegradedTest(source, examples, place[2])

        def answer(x: Tensor) -> dict[str, Tensor]:
            return module.answers(x.to(module.device), final=True)

        for one in corruptions:
            each = [answers(test.batches(one, strength), answer) for strength in one.strengths]
            found = {name: torch.stack([of[name] for of in each]) for name in module.predictions}
            files.write_tensors(_file(one), {**_about(len(examples), one), "probabilities": found})
    finally:
        torch.set_num_threads(threads)


def kept(files: RunFolder, run: Run, corruption: Corruption) -> dict[str, Tensor] | None:
    """Return class probabilities [strengths, N, C] of each prediction by name, or ``None`` where there are none.

    A file that is damaged is said to be made anew; one of other strengths is not taken either.
    """
    found = files.read_tensors(_file(corruption))
    about = _about(len(run.labels), corruption)
    if found is None or {name: found.get(name) for name in about} != about:
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


def _about(count: int, corruption: Corruption) -> dict[str, Any]:
    strengths = [float(strength) for strength in corruption.strengths]
    return {"format": FORMAT, "strengths": strengths, "num_examples": len(chosen(count))}
