"""How a latent becomes a binary weight: the rules, their gradient estimators, and the draw in force."""

from snntorch_binary.weights.balanced import BalancedBernoulli as BalancedBernoulli
from snntorch_binary.weights.balanced import BalancedSign as BalancedSign
from snntorch_binary.weights.bernoulli import LATENT_LIMIT as LATENT_LIMIT
from snntorch_binary.weights.bernoulli import Bernoulli as Bernoulli
from snntorch_binary.weights.disarm import disarm_loss as disarm_loss
from snntorch_binary.weights.in_force import binary_layers as binary_layers
from snntorch_binary.weights.in_force import require_binary_layers as require_binary_layers
from snntorch_binary.weights.in_force import resample_ as resample_
from snntorch_binary.weights.in_force import sampled as sampled
from snntorch_binary.weights.rule import Kind as Kind
from snntorch_binary.weights.rule import WeightRule as WeightRule
from snntorch_binary.weights.sign import Sign as Sign
