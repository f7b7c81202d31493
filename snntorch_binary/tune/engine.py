"""Ray: started for a population and gone afterwards, or the cluster at an address."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import ray
import torch
from ray import tune
from ray._private import ray_constants
from ray.exceptions import RayError

from snntorch_binary._errors import expected
from snntorch_binary._logging import says_at_least
from snntorch_binary.tune.address import check_address
from snntorch_binary.tune.checks import is_integer, is_number
from snntorch_binary.tune.interrupt import interrupts_raised
from snntorch_binary.tune.interval import ModuleFactory, train_or_find
from snntorch_binary.tune.lineage import PopulationError, Report, write_report
from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.scheduler import SCORE, VALUES, SeededPopulationBasedTraining
from snntorch_binary.tune.space import Range

EXPERIMENT = "ray"
"""The folder of Ray's own files, below that of the results: pickles, which no other call ever reads."""
MEMBERS = "members"
"""The folder of what members have done, below that of the results, until the population has come to its end."""
_ID = "id"

_OF_TUNE = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of data stay what they are
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a member that ends late on a busy machine costs no new process
}
_OF_THIS_MACHINE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # what listens is on loopback only; else a token goes to the home folder
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all sockets on loopback, as Ray has it on those systems
}
_OF_A_CLUSTER = {
    "RAY_gcs_server_port_wait_time_s": "1",  # what listens and is no cluster is asked once: 40 seconds, not 14 minutes
}
_STORE = 256 * 2**20  # bytes for what processes share: the data, besides


@dataclass(frozen=True)
class Resources:
    """Where trials run.

    Attributes:
        slots: trials at a time on this machine; ``None`` is as many as it has processors for. More trials than slots
            take turns.
        cpus: processors, and threads, of a trial.
        gpus: GPUs of a trial; 0.5 lets two trials share one.
        address: a Ray cluster, as ``ray.init`` takes it: ``"auto"``, ``"10.0.0.1:6379"``. Its machines must have this
            package, and the folder of results at the same path. ``None`` starts Ray on this machine, on loopback only.

    Raises:
        ValueError: a value is out of its range.
    """

    slots: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    address: str | None = None

    def __post_init__(self) -> None:
        if self.slots is not None and (not is_integer(self.slots) or self.slots < 1):
            raise ValueError(expected("slots", "a positive integer or None", repr(self.slots)))
        if not is_integer(self.cpus) or self.cpus < 1:
            raise ValueError(expected("cpus", "a positive integer", repr(self.cpus)))
        if not is_number(self.gpus) or self.gpus < 0:
            raise ValueError(expected("gpus", "a float of at least 0", repr(self.gpus)))
        if self.address is not None and not isinstance(self.address, str):
            raise ValueError(expected("address", "the address of a Ray cluster or None", repr(self.address)))
        if self.address is not None and self.slots is not None:
            raise ValueError(expected("slots", "left out with an address, whose cluster knows its own", self.slots))

    @property
    def at_a_time(self) -> int:
        """Trials at a time on this machine."""
        return max(1, (os.cpu_count() or 1) // self.cpus) if self.slots is None else self.slots


_listeners: list[Callable[[Report], None]] = []
"""Who is told of reports, in this process. (Ray pickles the callbacks of a run.)"""


class _Recorder(tune.Callback):
    """Keeps every report in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        report = Report.read(result["report"], self.path)
        write_report(self.path, report)
        for listener in _listeners:
            listener(report)


def _index_of(trial_id: str) -> int:
    """Return the member that a trial is; Ray counts trials in the order of their first settings."""
    return int(trial_id.rpartition("_")[2])


def _folder_of(trial: Any) -> str:
    return f"member{_index_of(trial.trial_id)}"


def _run_member(
    config: dict[str, Any],
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    plan: Plan,
    accelerator: str,
    store: Path,
    population: str,
) -> None:
    """Train one member, in a worker, until Ray stops it; a report at the end of each interval.

    A checkpoint of Ray's is the name of a report, whose files are in the store.
    """
    member, given = _index_of(tune.get_context().get_trial_id()), tune.get_checkpoint()
    torch.set_num_threads(max(1, int(tune.get_context().get_trial_resources().required_resources.get("CPU", 1))))
    start = None
    if given is not None:
        with given.as_directory() as folder:
            start = (Path(folder) / _ID).read_text()
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            report = train_or_find(
                module_factory, data, plan, member, config[VALUES], start, store, accelerator, population
            )
            row = {SCORE: report.score(plan), "report": json.dumps(asdict(report))}
            (Path(scratch) / _ID).write_text(report.id)
            tune.report(row, checkpoint=tune.Checkpoint.from_directory(scratch))
            start = report.id


@contextmanager
def ray_started(resources: Resources, data_bytes: int = 0) -> Iterator[None]:
    """Have Ray while inside, for several populations. A Ray that the caller has started is used, and left as it is.

    On this machine it listens on loopback only, sends no statistics, and keeps its own files in a temporary folder.

    Args:
        resources: where trials run.
        data_bytes: size of the largest data set.

    Raises:
        ValueError: there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if resources.address is not None:
        check_address(resources.address)
        with _environment({**_OF_TUNE, **{name: os.environ.get(name, value) for name, value in _OF_A_CLUSTER.items()}}):
            try:
                ray.init(address=resources.address, runtime_env={"env_vars": _OF_TUNE}, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                what = f"the address of a Ray cluster ({' '.join(str(error).split())})"
                raise ValueError(expected("address", what, repr(resources.address))) from None
            try:
                yield
            finally:
                ray.shutdown()
        return
    clusters, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False  # was read at its import
    # Names of sockets may have 107 characters.
    folder = tempfile.mkdtemp(prefix="sb-", dir=None if len(tempfile.gettempdir()) < 30 else "/tmp")
    with _environment({**_OF_TUNE, **_OF_THIS_MACHINE}):
        try:
            ray.init(
                num_cpus=resources.at_a_time * resources.cpus,
                object_store_memory=_STORE + data_bytes,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
                **quiet,
            )
            yield
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
            ray_constants.ENABLE_RAY_CLUSTER = clusters


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_trials(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    space: dict[str, Range],
    plan: Plan,
    values: list[dict[str, float]],
    resources: Resources,
    out: Path,
    population: str,
    listener: Callable[[Report], None],
) -> None:
    """Run a population to its end; what it has done before is found. Reports go to ``out/reports.jsonl``.

    Raises:
        PopulationError: a member ended with an error.
        KeyboardInterrupt: there was an interrupt.
    """
    store = out.absolute() / MEMBERS
    shared = ray.put((module_factory, data, plan, "gpu" if resources.gpus else "cpu", store, population))

    def member(config: dict[str, Any]) -> None:
        _run_member(config, *ray.get(shared))

    trainable = tune.with_resources(member, {"cpu": resources.cpus, "gpu": resources.gpus})
    shutil.rmtree(out / EXPERIMENT, ignore_errors=True)
    tuner = tune.Tuner(
        trainable,
        param_space={VALUES: tune.grid_search(values)},
        tune_config=tune.TuneConfig(
            metric=SCORE,
            mode=plan.mode,
            scheduler=SeededPopulationBasedTraining(plan, space) if plan.perturb else None,
            reuse_actors=True,
            trial_dirname_creator=_folder_of,
        ),
        run_config=tune.RunConfig(
            name=EXPERIMENT,
            storage_path=str(out.absolute()),
            stop={"training_iteration": plan.epochs // plan.interval},
            failure_config=tune.FailureConfig(fail_fast="raise"),
            callbacks=[_Recorder(out.absolute() / "reports.jsonl")],
            progress_reporter=tune.CLIReporter(),  # silent by `verbose`; that of notebooks is not
            verbose=0,
        ),
    )
    _listeners.append(listener)
    try:
        with ExitStack() as stack:
            stack.enter_context(interrupts_raised())
            # It misses loggers of its own; reports are kept in a file of ours.
            stack.enter_context(says_at_least(logging.ERROR, "ray.tune"))
            # An interrupt is an error to these two.
            stack.enter_context(says_at_least(logging.CRITICAL, "ray.tune.tune", "ray.train._internal.session"))
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="fail_fast='raise'")  # Ray does clean up
            tuner.fit()
    except (RayError, tune.TuneError) as error:
        reason = str(error).strip().splitlines()[-1:]  # the last line of what a worker has printed
        raise PopulationError(f"A member of the population ended with an error: {' '.join(reason)}") from None
    finally:
        _listeners.remove(listener)
