"""1-bit inference: modules that hold a bit per weight, take and give spikes as bits, and multiply nothing."""

from snntorch_binary.packed.ensemble import PackedEnsemble as PackedEnsemble
from snntorch_binary.packed.file.entry import PackedFileError as PackedFileError
from snntorch_binary.packed.file.save_and_load import PackedFileVersionError as PackedFileVersionError
from snntorch_binary.packed.file.save_and_load import load_packed as load_packed
from snntorch_binary.packed.file.save_and_load import save_packed as save_packed
from snntorch_binary.packed.graph import PackedGraph as PackedGraph
from snntorch_binary.packed.layer import PackedLayer as PackedLayer
from snntorch_binary.packed.pack import pack as pack
from snntorch_binary.packed.shaping import PackedFlatten as PackedFlatten
from snntorch_binary.packed.shaping import PackedMaxPool as PackedMaxPool
from snntorch_binary.packed.shaping import SkipSteps as SkipSteps
from snntorch_binary.packed.spikes import SpikeBits as SpikeBits
