"""Norse: the paper's neuron as a Norse cell and sequence module, and binary weights inside Norse's recurrent cells.

Models of Norse need no import of this adapter: :func:`snntorch_binary.binarize_` loads it when it meets one.
"""

from snntorch_binary._errors import require

require("norse.torch", "norse")

from snntorch_binary.nn.neurons.srm import SRMState as SRMState  # noqa: E402  # after the check above
from snntorch_binary.norse import cells, stepwise  # noqa: E402, F401  (they register what they know)
from snntorch_binary.norse.cells import BinarySynapses as BinarySynapses  # noqa: E402  # after the check above
from snntorch_binary.norse.conv import BinaryLConv2d as BinaryLConv2d  # noqa: E402  # after the check above
from snntorch_binary.norse.srm import SRM as SRM  # noqa: E402  # after the check above
from snntorch_binary.norse.srm import SRMCell as SRMCell  # noqa: E402  # after the check above
