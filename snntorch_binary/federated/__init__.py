"""Federated learning of spiking networks: partitions, averaging, and Bernoulli posteriors of many clients as one.

What is here needs torch alone; :mod:`snntorch_binary.federated.flower` carries it over a network.
"""

from snntorch_binary._moved import moved as _moved
from snntorch_binary.federated.aggregation import Aggregation as Aggregation
from snntorch_binary.federated.aggregation import Average as Average
from snntorch_binary.federated.aggregation import ProductOfExperts as ProductOfExperts
from snntorch_binary.federated.averaging import State as State
from snntorch_binary.federated.averaging import weighted_mean as weighted_mean
from snntorch_binary.federated.averaging import why_refused as why_refused
from snntorch_binary.federated.averaging import with_noise as with_noise
from snntorch_binary.federated.averaging import without_stragglers as without_stragglers
from snntorch_binary.federated.bit_uploads import OneBit as OneBit
from snntorch_binary.federated.bit_uploads import OneBitChange as OneBitChange
from snntorch_binary.federated.coordinator import NetworkCoordinator as NetworkCoordinator
from snntorch_binary.federated.exchange import Coordinator as Coordinator
from snntorch_binary.federated.exchange import Participant as Participant
from snntorch_binary.federated.exchange import Task as Task
from snntorch_binary.federated.exchange import Update as Update
from snntorch_binary.federated.fl_snn.device import OnlineDevice as OnlineDevice
from snntorch_binary.federated.fl_snn.device import exchange_ as exchange_
from snntorch_binary.federated.fl_snn.selective import Share as Share
from snntorch_binary.federated.fl_snn.selective import num_selected as num_selected
from snntorch_binary.federated.fl_snn.sides import OnlineCoordinator as OnlineCoordinator
from snntorch_binary.federated.fl_snn.sides import OnlineParticipant as OnlineParticipant
from snntorch_binary.federated.one_bit import moved_by_bits as moved_by_bits
from snntorch_binary.federated.one_bit import pack_bits as pack_bits
from snntorch_binary.federated.one_bit import sample_bits as sample_bits
from snntorch_binary.federated.one_bit import unpack_bits as unpack_bits
from snntorch_binary.federated.one_bit_change import change_bits as change_bits
from snntorch_binary.federated.one_bit_change import moved_by_change_bits as moved_by_change_bits
from snntorch_binary.federated.partition import IID as IID
from snntorch_binary.federated.partition import Dirichlet as Dirichlet
from snntorch_binary.federated.partition import Partition as Partition
from snntorch_binary.federated.posteriors import product_of_experts as product_of_experts
from snntorch_binary.federated.selection import chosen_clients as chosen_clients
from snntorch_binary.federated.selection import round_seed as round_seed

__getattr__ = _moved(__name__, dict.fromkeys(("VGG9", "SpikingVGG9"), "snntorch_binary.models"))
