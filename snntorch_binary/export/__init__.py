"""NIR, the exchange format of neuromorphic hardware and simulators: `to_nir` and `from_nir`."""

from snntorch_binary.export.errors import NIRExportError as NIRExportError
from snntorch_binary.export.errors import NIRFileError as NIRFileError
from snntorch_binary.export.from_nir import from_nir as from_nir
from snntorch_binary.export.to_nir import to_nir as to_nir
