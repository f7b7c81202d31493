"""A stand-in for `torch.nn`: its Linear, Conv and ConvTranspose layers have binary weights, the rest is torch's.

``from snntorch_binary import nn`` in place of ``import torch.nn as nn`` is the one changed line for ST-BiSNN.
Beside torch's names stand the layers and neurons of this package.
"""

import torch.nn as _torch_nn
from torch.nn import *  # noqa: F403
from torch.nn import functional as functional
from torch.nn import init as init
from torch.nn import parallel as parallel
from torch.nn import utils as utils

import snntorch_binary.nn.neurons.of_snntorch
import snntorch_binary.nn.neurons.of_spikingjelly  # noqa: F401  (they describe what these libraries have)
from snntorch_binary.kernels import surrogates as _surrogates
from snntorch_binary.nn.basis import Exponential as Exponential
from snntorch_binary.nn.basis import RaisedCosine as RaisedCosine
from snntorch_binary.nn.batch_norm import BatchNormThroughTime as BatchNormThroughTime
from snntorch_binary.nn.binary import BinaryConv1d as BinaryConv1d
from snntorch_binary.nn.binary import BinaryConv2d as BinaryConv2d
from snntorch_binary.nn.binary import BinaryConv3d as BinaryConv3d
from snntorch_binary.nn.binary import BinaryConvTranspose1d as BinaryConvTranspose1d
from snntorch_binary.nn.binary import BinaryConvTranspose2d as BinaryConvTranspose2d
from snntorch_binary.nn.binary import BinaryConvTranspose3d as BinaryConvTranspose3d
from snntorch_binary.nn.binary import BinaryLinear as BinaryLinear
from snntorch_binary.nn.lazy import LazyBinaryConv1d as LazyBinaryConv1d
from snntorch_binary.nn.lazy import LazyBinaryConv2d as LazyBinaryConv2d
from snntorch_binary.nn.lazy import LazyBinaryConv3d as LazyBinaryConv3d
from snntorch_binary.nn.lazy import LazyBinaryConvTranspose1d as LazyBinaryConvTranspose1d
from snntorch_binary.nn.lazy import LazyBinaryConvTranspose2d as LazyBinaryConvTranspose2d
from snntorch_binary.nn.lazy import LazyBinaryConvTranspose3d as LazyBinaryConvTranspose3d
from snntorch_binary.nn.lazy import LazyBinaryLinear as LazyBinaryLinear
from snntorch_binary.nn.locally_connected import LocallyConnected2d as LocallyConnected2d
from snntorch_binary.nn.neurons.leaky import Leaky as Leaky
from snntorch_binary.nn.neurons.recurrent import Recurrent as Recurrent
from snntorch_binary.nn.neurons.refractory import Refractory as Refractory
from snntorch_binary.nn.neurons.soft_lif import SoftLIF as SoftLIF
from snntorch_binary.nn.neurons.soft_reset import SoftReset as SoftReset
from snntorch_binary.nn.neurons.spiking_lif import SpikingLIF as SpikingLIF
from snntorch_binary.nn.neurons.srm import SRM as SRM
from snntorch_binary.nn.neurons.synaptic import Synaptic as Synaptic
from snntorch_binary.nn.neurons.synaptic_trace import SynapticTrace as SynapticTrace
from snntorch_binary.nn.time_chunks import TimeChunks as TimeChunks
from snntorch_binary.nn.time_first import TimeFirst as TimeFirst
from snntorch_binary.nn.wta.circuits import CircuitStep as CircuitStep
from snntorch_binary.nn.wta.circuits import WTACircuits as WTACircuits
from snntorch_binary.nn.wta.memory import WTAMemory as WTAMemory
from snntorch_binary.nn.wta.network import WTANetwork as WTANetwork
from snntorch_binary.nn.wta.network import WTAStep as WTAStep
from snntorch_binary.nn.wta.network import layered_mask as layered_mask

surrogate = _surrogates  # as `snntorch.surrogate`
Linear = BinaryLinear  # type: ignore[misc]
Conv1d = BinaryConv1d  # type: ignore[misc]
Conv2d = BinaryConv2d  # type: ignore[misc]
Conv3d = BinaryConv3d  # type: ignore[misc]
ConvTranspose1d = BinaryConvTranspose1d  # type: ignore[misc]
ConvTranspose2d = BinaryConvTranspose2d  # type: ignore[misc]
ConvTranspose3d = BinaryConvTranspose3d  # type: ignore[misc]
LazyLinear = LazyBinaryLinear  # type: ignore[misc]
LazyConv1d = LazyBinaryConv1d  # type: ignore[misc]
LazyConv2d = LazyBinaryConv2d  # type: ignore[misc]
LazyConv3d = LazyBinaryConv3d  # type: ignore[misc]
LazyConvTranspose1d = LazyBinaryConvTranspose1d  # type: ignore[misc]
LazyConvTranspose2d = LazyBinaryConvTranspose2d  # type: ignore[misc]
LazyConvTranspose3d = LazyBinaryConvTranspose3d  # type: ignore[misc]

_OWN = (
    "BatchNormThroughTime",
    "BinaryConv1d",
    "BinaryConv2d",
    "BinaryConv3d",
    "BinaryConvTranspose1d",
    "BinaryConvTranspose2d",
    "BinaryConvTranspose3d",
    "BinaryLinear",
    "CircuitStep",
    "Exponential",
    "LazyBinaryConv1d",
    "LazyBinaryConv2d",
    "LazyBinaryConv3d",
    "LazyBinaryConvTranspose1d",
    "LazyBinaryConvTranspose2d",
    "LazyBinaryConvTranspose3d",
    "LazyBinaryLinear",
    "Leaky",
    "LocallyConnected2d",
    "RaisedCosine",
    "Recurrent",
    "Refractory",
    "SRM",
    "SoftLIF",
    "SoftReset",
    "SpikingLIF",
    "Synaptic",
    "SynapticTrace",
    "TimeChunks",
    "TimeFirst",
    "WTACircuits",
    "WTAMemory",
    "WTANetwork",
    "WTAStep",
    "layered_mask",
    "surrogate",
)
__all__ = sorted({*(name for name in dir(_torch_nn) if not name.startswith("_")), *_OWN})
