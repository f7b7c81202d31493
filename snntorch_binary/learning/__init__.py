"""How weights learn: credit assignment within a network, and one task after another."""

from snntorch_binary.learning.activity import ActivityRegularizer as ActivityRegularizer
from snntorch_binary.learning.continual import Coreset as Coreset
from snntorch_binary.learning.continual import posterior_to_prior_ as posterior_to_prior_
from snntorch_binary.learning.elastic_weight_consolidation import (
    ElasticWeightConsolidation as ElasticWeightConsolidation,
)
from snntorch_binary.learning.local import LocalNetwork as LocalNetwork
from snntorch_binary.learning.local import LocalStep as LocalStep
from snntorch_binary.learning.online import online_gradients as online_gradients
from snntorch_binary.learning.online_glm import OnlineGLM as OnlineGLM
from snntorch_binary.learning.vowel import VOWEL as VOWEL
