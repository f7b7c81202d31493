"""Networks for elsewhere: C for microcontrollers, NIR for neuromorphic hardware, ONNX, `torch.export`."""

from snntorch_binary.export.c import CExportError as CExportError
from snntorch_binary.export.c import Sizes as Sizes
from snntorch_binary.export.c import to_c as to_c
from snntorch_binary.export.errors import NIRExportError as NIRExportError
from snntorch_binary.export.errors import NIRFileError as NIRFileError
from snntorch_binary.export.from_nir import from_nir as from_nir
from snntorch_binary.export.runtimes import RuntimeExportError as RuntimeExportError
from snntorch_binary.export.runtimes import to_onnx as to_onnx
from snntorch_binary.export.runtimes import to_torch_export as to_torch_export
from snntorch_binary.export.to_mem import to_mem as to_mem
from snntorch_binary.export.to_nir import to_nir as to_nir
