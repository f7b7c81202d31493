"""1-bit weights and calibrated uncertainty for spiking networks built with snnTorch or Norse.

>>> import torch, snntorch_binary as sb
>>> net = torch.nn.Sequential(torch.nn.Linear(64, 10), sb.nn.Leaky(beta=0.9))
>>> _ = sb.binarize_(net, sb.Bernoulli())                                      # every Linear and Conv is 1-bit now
>>> optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=1 / 1000)    # the training loop stays as it is
>>> sb.predict(net, torch.rand(25, 4, 64), num_samples=10).probs.shape
torch.Size([4, 10])
"""

from snntorch_binary import export as export
from snntorch_binary import kernels as kernels
from snntorch_binary import nn as nn
from snntorch_binary import optim as optim
from snntorch_binary._summary import summary as summary
from snntorch_binary.convert import SpikingNetwork as SpikingNetwork
from snntorch_binary.convert import binarize_ as binarize_
from snntorch_binary.convert import freeze as freeze
from snntorch_binary.convert import reset as reset
from snntorch_binary.convert import to_spiking as to_spiking
from snntorch_binary.convert import unbinarize_ as unbinarize_
from snntorch_binary.fuse import fuse as fuse
from snntorch_binary.inference import Ensemble as Ensemble
from snntorch_binary.inference import Trajectory as Trajectory
from snntorch_binary.inference import predict as predict
from snntorch_binary.inference import refit_norms_ as refit_norms_
from snntorch_binary.optim.priors import kl_divergence as kl_divergence
from snntorch_binary.optim.priors import set_prior_ as set_prior_
from snntorch_binary.packed import load_packed as load_packed
from snntorch_binary.packed import pack as pack
from snntorch_binary.packed import save_packed as save_packed
from snntorch_binary.weights import BalancedBernoulli as BalancedBernoulli
from snntorch_binary.weights import BalancedSign as BalancedSign
from snntorch_binary.weights import Bernoulli as Bernoulli
from snntorch_binary.weights import Sign as Sign
from snntorch_binary.weights import resample_ as resample_
from snntorch_binary.weights import sampled as sampled
from snntorch_binary.weights_file import load_weights_ as load_weights_
from snntorch_binary.weights_file import save_weights as save_weights

__version__ = "0.1.0"
