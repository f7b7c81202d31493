"""Experiments: networks and data of anybody's, trained under several rules, with tables, pictures and resume."""

from snntorch_binary._errors import require

# One clear sentence before the imports that need them, which therefore stand below.
for _package in ("matplotlib", "rich", "jsonargparse", "torchmetrics", "lightning"):
    require(_package, "lightning")

from snntorch_binary.experiments.compare import Comparison as Comparison  # noqa: E402  # after the check above
from snntorch_binary.experiments.compare import Run as Run  # noqa: E402  # after the check above
from snntorch_binary.experiments.compare import compare as compare  # noqa: E402  # after the check above
from snntorch_binary.experiments.description import RunDescription as RunDescription  # noqa: E402  # after the check above
from snntorch_binary.experiments.description import TrainedRun as TrainedRun  # noqa: E402  # after the check above
from snntorch_binary.experiments.description import load_run as load_run  # noqa: E402  # after the check above
from snntorch_binary.experiments.experiment import Experiment as Experiment  # noqa: E402  # after the check above
