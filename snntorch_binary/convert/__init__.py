"""Models that exist: made binary, put to rest, and turned into plain or spiking ones.

``foreign`` knows the modules of other libraries, by an adapter a library.
"""

from snntorch_binary.convert.binarize import binarize_ as binarize_
from snntorch_binary.convert.freeze import freeze as freeze
from snntorch_binary.convert.report import Conversion as Conversion
from snntorch_binary.convert.report import ConversionReport as ConversionReport
from snntorch_binary.convert.reset import reset as reset
from snntorch_binary.convert.to_spiking import SpikingNetwork as SpikingNetwork
from snntorch_binary.convert.to_spiking import to_spiking as to_spiking
from snntorch_binary.convert.unbinarize import unbinarize_ as unbinarize_
