"""Packed networks as plain C for microcontrollers, exact to the bit."""

from snntorch_binary.export.c.errors import CExportError as CExportError
from snntorch_binary.export.c.sizes import Sizes as Sizes
from snntorch_binary.export.c.to_c import to_c as to_c
