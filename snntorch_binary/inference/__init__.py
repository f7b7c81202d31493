"""From a posterior to an answer with its uncertainty."""

from snntorch_binary.inference.ensemble import Ensemble as Ensemble
from snntorch_binary.inference.norms import refit_norms_ as refit_norms_
from snntorch_binary.inference.predict import predict as predict
from snntorch_binary.inference.predictions import LabelPrediction as LabelPrediction
from snntorch_binary.inference.predictions import Prediction as Prediction
from snntorch_binary.inference.predictions import RealPrediction as RealPrediction
from snntorch_binary.inference.readout import logits as logits
from snntorch_binary.inference.run import run as run
from snntorch_binary.inference.sample import sample_scores as sample_scores
from snntorch_binary.inference.trajectory import Trajectory as Trajectory
