"""Calibration and its comparison: scores, temperature scaling, bootstrap intervals, plots and tables."""

from snntorch_binary.metrics.bootstrap import Difference as Difference
from snntorch_binary.metrics.bootstrap import paired_bootstrap as paired_bootstrap
from snntorch_binary.metrics.bootstrap import paired_differences as paired_differences
from snntorch_binary.metrics.calibration import ExampleScores as ExampleScores
from snntorch_binary.metrics.calibration import Scores as Scores
from snntorch_binary.metrics.calibration import accuracy as accuracy
from snntorch_binary.metrics.calibration import brier_score as brier_score
from snntorch_binary.metrics.calibration import evaluate as evaluate
from snntorch_binary.metrics.calibration import example_scores as example_scores
from snntorch_binary.metrics.calibration import expected_calibration_error as expected_calibration_error
from snntorch_binary.metrics.calibration import negative_log_likelihood as negative_log_likelihood
from snntorch_binary.metrics.plots import learning_curve as learning_curve
from snntorch_binary.metrics.plots import raster as raster
from snntorch_binary.metrics.plots import reliability_diagram as reliability_diagram
from snntorch_binary.metrics.table import differences_table as differences_table
from snntorch_binary.metrics.table import results_table as results_table
from snntorch_binary.metrics.temperature import apply_temperature as apply_temperature
from snntorch_binary.metrics.temperature import fit_temperature as fit_temperature
