"""The shipped networks as plain float modules, which a rule makes binary. They need torch alone."""

from snntorch_binary.models.convolutional import SpikingConvNet as SpikingConvNet
from snntorch_binary.models.local_spiking_mlp import LocalSpikingMLP as LocalSpikingMLP
from snntorch_binary.models.soft_lif import SoftLIFConvNet as SoftLIFConvNet
from snntorch_binary.models.soft_lif import SoftLIFLocalNet as SoftLIFLocalNet
from snntorch_binary.models.spiking_mlp import SpikingMLP as SpikingMLP
from snntorch_binary.models.vgg9 import VGG9 as VGG9
from snntorch_binary.models.vgg9 import SpikingVGG9 as SpikingVGG9
from snntorch_binary.models.winner_take_all import layered_network as layered_network
from snntorch_binary.models.winner_take_all import symbol_network as symbol_network
