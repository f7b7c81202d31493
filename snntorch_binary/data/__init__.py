"""Data sets as spikes, and the encoders that make spikes of values."""

from typing import TYPE_CHECKING

from snntorch_binary.data.dataset import SpikeDataset as SpikeDataset
from snntorch_binary.data.dataset import collate as collate
from snntorch_binary.data.description import Description as Description
from snntorch_binary.data.encoders import DirectEncoder as DirectEncoder
from snntorch_binary.data.encoders import Encoder as Encoder
from snntorch_binary.data.encoders import LatencyEncoder as LatencyEncoder
from snntorch_binary.data.encoders import PopulationEncoder as PopulationEncoder
from snntorch_binary.data.encoders import RateEncoder as RateEncoder
from snntorch_binary.data.encoders import SignedRateEncoder as SignedRateEncoder
from snntorch_binary.data.errors import CorruptDataError as CorruptDataError
from snntorch_binary.data.errors import DataNotFoundError as DataNotFoundError
from snntorch_binary.data.packed_spikes import PackedSpikes as PackedSpikes
from snntorch_binary.data.registry import describe as describe
from snntorch_binary.data.registry import load as load
from snntorch_binary.data.registry import names as names
from snntorch_binary.data.splits import Splits as Splits
from snntorch_binary.data.symbols import class_symbols as class_symbols
from snntorch_binary.data.symbols import signed_symbols as signed_symbols
from snntorch_binary.data.symbols import unsigned_symbols as unsigned_symbols

if TYPE_CHECKING:
    from snntorch_binary.data.mnist_dvs import MNISTDVS as MNISTDVS


def __getattr__(name: str) -> object:
    # Like the readers of other event files, this one needs numpy, which torch can be without.
    if name == "MNISTDVS":
        from snntorch_binary.data.mnist_dvs import MNISTDVS

        return MNISTDVS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
