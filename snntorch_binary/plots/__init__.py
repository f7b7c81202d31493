"""Pictures of results. Each function takes tensors and a path, and writes one file; its suffix is the format."""

from snntorch_binary.plots.anytime import anytime_curve as anytime_curve
from snntorch_binary.plots.continual import continual_curve as continual_curve
from snntorch_binary.plots.corruptions import corruption_grid as corruption_grid
from snntorch_binary.plots.estimators import estimator_bias as estimator_bias
from snntorch_binary.plots.learning import learning_curve as learning_curve
from snntorch_binary.plots.learning_report import learning_reports as learning_reports
from snntorch_binary.plots.load import load_curve as load_curve
from snntorch_binary.plots.out_of_distribution import ood_histogram as ood_histogram
from snntorch_binary.plots.population import PopulationSegment as PopulationSegment
from snntorch_binary.plots.population import population_history as population_history
from snntorch_binary.plots.rates import rate_curve as rate_curve
from snntorch_binary.plots.rates import rates_against_spikes as rates_against_spikes
from snntorch_binary.plots.regression import predictive_band as predictive_band
from snntorch_binary.plots.rejection import rejection_curve as rejection_curve
from snntorch_binary.plots.reliability import reliability_diagram as reliability_diagram
from snntorch_binary.plots.rounds import rounds_curve as rounds_curve
from snntorch_binary.plots.shift import ShiftPanel as ShiftPanel
from snntorch_binary.plots.shift import shift_curves as shift_curves
from snntorch_binary.plots.sizes import size_curve as size_curve
from snntorch_binary.plots.spikes import raster as raster
from snntorch_binary.plots.surface import decision_surface as decision_surface
from snntorch_binary.plots.surface import plane as plane
from snntorch_binary.plots.symbols import symbol_raster as symbol_raster
