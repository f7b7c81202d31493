"""Learning rules for binary weights as torch optimizers, and the prior they learn under."""

from snntorch_binary.optim.bayes_bisnn import BayesBiSNN as BayesBiSNN
from snntorch_binary.optim.parameter_groups import parameter_groups as parameter_groups
from snntorch_binary.optim.priors import kl_divergence as kl_divergence
from snntorch_binary.optim.priors import set_prior_ as set_prior_
