"""The energy of an inference: counted layer by layer, and as papers estimate it.

``count`` runs a network once under the hooks of ``meter``, which count by ``operations`` what each call does, into the
table of ``table``. ``firing_rates`` and ``soft_lif`` are two papers' estimates.
"""

from snntorch_binary.metrics.energy.count import energy as energy
from snntorch_binary.metrics.energy.firing_rates import SpikeRateEnergy as SpikeRateEnergy
from snntorch_binary.metrics.energy.firing_rates import spike_rate_energy as spike_rate_energy
from snntorch_binary.metrics.energy.soft_lif import SpikingEnergy as SpikingEnergy
from snntorch_binary.metrics.energy.soft_lif import spiking_energy as spiking_energy
from snntorch_binary.metrics.energy.table import Energy as Energy
from snntorch_binary.metrics.energy.table import LayerEnergy as LayerEnergy
