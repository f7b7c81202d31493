"""Calibration, uncertainty and energy: scores, their comparison, temperature scaling, and tables.

Everything takes plain tensors: probabilities of a predictor [N, C], of the members of an ensemble [K, N, C],
scores of every time step [T, N, C], uncertainty scores [N], labels [N]. The metrics of other libraries take
them as they are: torchmetrics and torch-uncertainty (``AURC``, ``FPR95``, ``CategoricalNLL``, ...) take [N, C]
and [N]; where torch-uncertainty wants members (``Disagreement``, ``MutualInformation``) it wants [N, K, C],
which is ``samples.transpose(0, 1)``.
"""

from snntorch_binary._moved import moved as _moved
from snntorch_binary.metrics.anytime import EarlyExit as EarlyExit
from snntorch_binary.metrics.anytime import anytime_scores as anytime_scores
from snntorch_binary.metrics.anytime import early_exit as early_exit
from snntorch_binary.metrics.anytime import running_probabilities as running_probabilities
from snntorch_binary.metrics.bootstrap import Difference as Difference
from snntorch_binary.metrics.bootstrap import paired_bootstrap as paired_bootstrap
from snntorch_binary.metrics.bootstrap import paired_differences as paired_differences
from snntorch_binary.metrics.calibration import adaptive_calibration_error as adaptive_calibration_error
from snntorch_binary.metrics.calibration import classwise_calibration_error as classwise_calibration_error
from snntorch_binary.metrics.calibration import expected_calibration_error as expected_calibration_error
from snntorch_binary.metrics.energy import Energy as Energy
from snntorch_binary.metrics.energy import LayerEnergy as LayerEnergy
from snntorch_binary.metrics.energy import SpikeRateEnergy as SpikeRateEnergy
from snntorch_binary.metrics.energy import SpikingEnergy as SpikingEnergy
from snntorch_binary.metrics.energy import energy as energy
from snntorch_binary.metrics.energy import spike_rate_energy as spike_rate_energy
from snntorch_binary.metrics.energy import spiking_energy as spiking_energy
from snntorch_binary.metrics.learning_report import LearningReport as LearningReport
from snntorch_binary.metrics.learning_report import learning_report as learning_report
from snntorch_binary.metrics.out_of_distribution import OODScores as OODScores
from snntorch_binary.metrics.out_of_distribution import ood_scores as ood_scores
from snntorch_binary.metrics.out_of_distribution import paired_auroc_difference as paired_auroc_difference
from snntorch_binary.metrics.regression import RegressionExampleScores as RegressionExampleScores
from snntorch_binary.metrics.regression import RegressionScores as RegressionScores
from snntorch_binary.metrics.regression import evaluate_regression as evaluate_regression
from snntorch_binary.metrics.regression import fit_noise as fit_noise
from snntorch_binary.metrics.regression import regression_example_scores as regression_example_scores
from snntorch_binary.metrics.rejection import RejectionCurve as RejectionCurve
from snntorch_binary.metrics.rejection import retained_accuracy as retained_accuracy
from snntorch_binary.metrics.scores import ExampleScores as ExampleScores
from snntorch_binary.metrics.scores import Scores as Scores
from snntorch_binary.metrics.scores import accuracy as accuracy
from snntorch_binary.metrics.scores import brier_score as brier_score
from snntorch_binary.metrics.scores import evaluate as evaluate
from snntorch_binary.metrics.scores import example_scores as example_scores
from snntorch_binary.metrics.scores import negative_log_likelihood as negative_log_likelihood
from snntorch_binary.metrics.table import differences_table as differences_table
from snntorch_binary.metrics.table import results_table as results_table
from snntorch_binary.metrics.temperature import apply_temperature as apply_temperature
from snntorch_binary.metrics.temperature import fit_temperature as fit_temperature
from snntorch_binary.metrics.uncertainty import Disagreement as Disagreement
from snntorch_binary.metrics.uncertainty import Uncertainty as Uncertainty
from snntorch_binary.metrics.uncertainty import disagreement as disagreement
from snntorch_binary.metrics.uncertainty import uncertainty_scores as uncertainty_scores

_PLOTS = (
    "PopulationSegment",
    "anytime_curve",
    "continual_curve",
    "decision_surface",
    "estimator_bias",
    "learning_curve",
    "load_curve",
    "ood_histogram",
    "plane",
    "population_history",
    "predictive_band",
    "raster",
    "rate_curve",
    "rates_against_spikes",
    "rejection_curve",
    "reliability_diagram",
    "rounds_curve",
    "size_curve",
    "symbol_raster",
)
__getattr__ = _moved(__name__, dict.fromkeys(_PLOTS, "snntorch_binary.plots"))
