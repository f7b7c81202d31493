"""Population based training of any of this package's LightningModules."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L

from snntorch_binary._errors import expected
from snntorch_binary._files import OutputError, RunFolder, digest, remove_parts, settings_in, write_json
from snntorch_binary.lightning.hyperparameters import check_names
from snntorch_binary.tune.engine import EXPERIMENT, MEMBERS, Resources, ray_started, run_trials
from snntorch_binary.tune.fingerprint import fingerprint
from snntorch_binary.tune.interval import CHECKPOINT, ModuleFactory, files_of
from snntorch_binary.tune.lineage import PopulationError, Report, complete, line_of, read_reports, schedule_of, winner
from snntorch_binary.tune.one_batch import OneBatch, available_memory, try_one_batch
from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.replay import write_replay
from snntorch_binary.tune.space import Range, Space, first_values, read_space

_GIB = 2**30
_WINNER, _REPORTS, _PLAN = "winner.ckpt", "reports.jsonl", "plan.json"


@dataclass(frozen=True)
class Population:
    """What a population has found.

    Attributes:
        plan: what it did.
        space: where it looked.
        reports: what each member did between rankings, in the order of time.
        line: the winner's reports and those that it came from, the first one first.
        folder: with ``winner.ckpt``, ``schedule.yaml`` and ``reports.jsonl``.
    """

    plan: Plan
    space: dict[str, Range]
    reports: list[Report]
    line: list[Report]
    folder: Path

    @property
    def schedule(self) -> dict[int, dict[str, float]]:
        """The winner's hyper-parameters by the epoch from which they hold; see :class:`HyperparameterSchedule`."""
        return schedule_of(self.line)

    @property
    def score(self) -> float:
        """The winner's validation score."""
        return self.line[-1].score(self.plan)

    @property
    def seed(self) -> int:
        """The seed of the weights that the winner's line began with."""
        return self.plan.seed_of(self.line[0].member)

    @property
    def checkpoint(self) -> Path:
        """The winner's checkpoint."""
        return self.folder / _WINNER


def population_based_training(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    space: Mapping[str, Range | Mapping[str, Any]],
    plan: Plan,
    *,
    out: str | Path,
    resources: Resources | None = None,
    config: Mapping[str, Any] | None = None,
    replay: Mapping[str, Any] | None = None,
    listener: Callable[[Report], None] = lambda report: None,
    say: Callable[[str], None] = print,
) -> Population:
    """Train a population on Ray Tune, whose worse members copy better ones and change their hyper-parameters.

    Truncation selection, perturbing and resampling are those of :class:`ray.tune.schedulers.PopulationBasedTraining`,
    with perturbed values clipped to their ranges. A learning rate under a schedule such as ``cosine=True`` is the
    height of its curve: population based training moves the height, and the shape stays.

    In ``out`` are then the winner's checkpoint, and ``schedule.yaml``, with which ``snntorch-binary fit`` trains the
    winner again, without Ray, bit for bit, the noise of dropout included, where the order of the data is a function of
    the epoch, as that of :class:`SpikeDataModule` is.

    Interrupted or killed, the same call goes on; finished, it reads what there is. Calls are the same with equal plan
    and space, and equal sections of ``config``, wherever the data lie. Where a section is missing, classes and saved
    hyper-parameters (Lightning's ``save_hyperparameters``) of module and data are compared, and the module's layers.
    What members have done is below ``out`` until the end, as tensors and plain values, from which a killed population
    goes on. Ray's own files, which are pickles, are there while it runs, and are never read by another call.

    Args:
        module_factory: makes the module, with new weights from torch's random numbers; it is pickled. The module says
            by its method ``hyperparameters`` what may change, as every :class:`SpikingModule` does.
        data: its data, read once, or ``None`` where the module has data of its own.
        space: the range of each hyper-parameter by name.
        plan: what the population does.
        out: folder for results.
        resources: where trials run; by default one on each processor of this machine.
        config: plain values ``model`` and ``data`` that tell this module and these data from all others.
        replay: sections ``model`` and ``data`` of a configuration of ``snntorch-binary fit`` that ``schedule.yaml`` is
            to have, too; by default ``config``.
        listener: is called with every report.
        say: is told in a sentence of each result that is damaged, or of another population, and is made anew.

    Raises:
        ValueError: before anything starts: the space names a hyper-parameter that the module lacks, a range reaches
            beyond what is allowed, the metric is never logged, or trials need more memory than there is.
        OutputError: the folder cannot be written to, or holds results of another call.
        PopulationError: a member ended with an error, or the loss of all members became NaN or infinite.
        KeyboardInterrupt: there was an interrupt.

    Example:
        >>> from snntorch_binary.tune import Plan, Quadratic, population_based_training
        >>> space = {"h0": {"low": 0.0, "high": 1.0}, "h1": {"low": 0.0, "high": 1.0}}
        >>> plan = Plan("Q", "max", epochs=40, interval=2, population=2, quantile=0.5)
        >>> found = population_based_training(Quadratic, None, space, plan, out="toy")  # doctest: +SKIP
    """
    out, resources, ranges = Path(out), resources or Resources(), read_space(space)
    now = fingerprint(module_factory, data, ranges, plan, config or {})
    _check_output(out, now)
    files = files_of(out, digest(now))
    if not _is_finished(RunFolder(out, files.run, say), plan):
        tried = prepare(module_factory, data, ranges, plan, resources)
        _start_output(out, now)
        _run(module_factory, data, ranges, plan, resources, out, digest(now), listener, tried)
        reports = read_reports(out / _REPORTS)
        if not complete(reports, plan):
            raise PopulationError(
                "Not every member of the population came to the end of training; the same call goes on."
            )
        _keep(files, winner(reports, plan))
    reports = read_reports(out / _REPORTS)
    found = Population(plan, ranges, reports, line_of(winner(reports, plan), reports), out)
    write_replay(
        out / "schedule.yaml",
        found.schedule,
        found.seed,
        plan.seed,
        plan.epochs,
        (config if replay is None else replay) or {},
    )
    for name in (MEMBERS, EXPERIMENT):
        shutil.rmtree(out / name, ignore_errors=True)
    return found


def finished(out: Path, plan: Plan) -> bool:
    """Say whether the population in a folder has come to its end, with all of its members."""
    try:
        return _is_finished(result_files(out), plan)
    except OutputError:
        return False


def result_files(out: Path) -> RunFolder:
    """Return the files of a population's results.

    Raises:
        OutputError: there is no plan, or it is damaged.
    """
    return files_of(out, digest(settings_in(out / _PLAN)))


def _is_finished(files: RunFolder, plan: Plan) -> bool:
    return _WINNER in files and _REPORTS in files and complete(read_reports(files.path / _REPORTS), plan)


def prepare(
    module_factory: ModuleFactory, data: L.LightningDataModule | None, space: Space, plan: Plan, resources: Resources
) -> OneBatch:
    """Read the data, try one batch, and say before anything starts why a population cannot be trained.

    Raises:
        ValueError: it cannot.
    """
    if data is not None:
        data.setup("fit")
    tried = try_one_batch(module_factory, data, plan.seed_of(0))
    check(tried, space, plan, resources)
    return tried


def check(tried: OneBatch, space: Space, plan: Plan, resources: Resources) -> None:
    """Say what of space, plan and resources does not fit the module, its scores or this machine.

    Raises:
        ValueError: something does not.
    """
    check_names("space", space, tried.hyperparameters, tried.module)
    for name, of_name in space.items():
        for value in (of_name.low, of_name.high):
            if not tried.hyperparameters[name].valid(value):
                raise ValueError(expected(f"space.{name}", f"of {tried.hyperparameters[name].what} each", value))
    for given in plan.start:
        check_names("start", given, space, tried.module)
        for name, value in given.items():
            if space[name].clip(value) != value:
                raise ValueError(expected(f"start.{name}", f"in {space[name].low} ... {space[name].high}", value))
    if plan.metric not in tried.scores:
        what = f"a score that this {type(tried.module).__name__} logs ({', '.join(sorted(tried.scores))})"
        raise ValueError(expected("metric", what, repr(plan.metric)))
    at_a_time = min(resources.at_a_time, plan.population)
    needed, there = at_a_time * tried.memory, available_memory()
    if resources.address is None and needed > there:
        what = (
            f"at most {there // tried.memory} trials at a time, which need {tried.memory / _GIB:.2f} GiB each, where "
            f"{there / _GIB:.2f} GiB are available"
        )
        raise ValueError(expected("slots", what, f"{at_a_time}, {needed / _GIB:.2f} GiB"))


def _check_output(out: Path, now: Mapping[str, Any]) -> None:
    path = out / _PLAN
    if out.exists() and not out.is_dir():
        raise OutputError(f"The results cannot be written to {out}: it is no folder.")
    if not path.exists():
        return
    before = settings_in(path)
    other = ", ".join(name for name in now if before.get(name) != now[name])
    if other:
        raise OutputError(f"{out} holds a population with another {other}; give another folder or remove it.")


def _start_output(out: Path, now: Mapping[str, Any]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_parts(out)
        write_json(out / _PLAN, now)
        # The best of some members is not the winner, and reports come again.
        for name in (_WINNER, "answers.pt", _REPORTS):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"The results cannot be written to {out}: {error.strerror}.") from None


def _run(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    space: dict[str, Range],
    plan: Plan,
    resources: Resources,
    out: Path,
    population: str,
    listener: Callable[[Report], None],
    tried: OneBatch,
) -> None:
    values = first_values(space, list(plan.start), plan.population, plan.seed)
    with ray_started(resources, tried.data_bytes):
        run_trials(module_factory, data, space, plan, values, resources, out, population, listener)


def _keep(files: RunFolder, best: Report) -> None:
    """Keep the reports and the winner's checkpoint."""
    winning = RunFolder(files.path / MEMBERS / best.id, files.run)
    content = winning.read(CHECKPOINT)
    if content is None:
        raise PopulationError(f"The winner's checkpoint is not in {winning.path}; the same call goes on.")
    files.write(_REPORTS, (files.path / _REPORTS).read_bytes())
    files.write(_WINNER, content)
