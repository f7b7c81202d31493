"""BiSNN's two learning rules as LightningModules, with data and the comparison of the rules."""

from snntorch_binary._errors import require
from snntorch_binary._moved import moved as _moved

for _package in ("torchmetrics", "lightning"):  # lightning imports torchmetrics
    require(_package, "lightning")

from snntorch_binary.lightning.balanced_bayes import BalancedBayes as BalancedBayes  # noqa: E402  # after the check above
from snntorch_binary.lightning.balanced_trajectory import BalancedTrajectory as BalancedTrajectory  # noqa: E402  # after the check above
from snntorch_binary.lightning.bayes_bisnn import BayesBiSNN as BayesBiSNN  # noqa: E402  # after the check above
from snntorch_binary.lightning.data import SpikeDataModule as SpikeDataModule  # noqa: E402  # after the check above
from snntorch_binary.lightning.learning_reports import LearningReports as LearningReports  # noqa: E402  # after the check above
from snntorch_binary.lightning.schedule import HyperparameterSchedule as HyperparameterSchedule  # noqa: E402  # after the check above
from snntorch_binary.lightning.seeded_steps import SeededSteps as SeededSteps  # noqa: E402  # after the check above
from snntorch_binary.lightning.spiking_module import NonFiniteLossError as NonFiniteLossError  # noqa: E402  # after the check above
from snntorch_binary.lightning.spiking_module import SpikingModule as SpikingModule  # noqa: E402  # after the check above
from snntorch_binary.lightning.st_bisnn import STBiSNN as STBiSNN  # noqa: E402  # after the check above
from snntorch_binary.lightning.vowel import VOWEL as VOWEL  # noqa: E402  # after the check above

_MODELS = ("SpikingMLP", "LocalSpikingMLP", "SoftLIFConvNet", "SoftLIFLocalNet", "symbol_network")
__getattr__ = _moved(__name__, dict.fromkeys(_MODELS, "snntorch_binary.models"))
