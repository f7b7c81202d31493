"""Population based training on Ray Tune: schedules of hyper-parameters found while networks learn.

Jaderberg et al., *Population Based Training of Neural Networks*, arXiv 1711.09846.
"""

import logging
import warnings

from snntorch_binary._errors import require

for _package in ("torchmetrics", "lightning"):
    require(_package, "lightning")
# In notebooks Ray asks for packages whose progress bars are not used here.
logging.getLogger("ray.widgets").setLevel(logging.WARNING)
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="IProgress not found")
    require("ray.tune", "tune")

from snntorch_binary.tune.engine import Resources as Resources  # noqa: E402  # after the check above
from snntorch_binary.tune.engine import ray_started as ray_started  # noqa: E402  # after the check above
from snntorch_binary.tune.lineage import Report as Report  # noqa: E402  # after the check above
from snntorch_binary.tune.plan import Plan as Plan  # noqa: E402  # after the check above
from snntorch_binary.tune.population import Population as Population  # noqa: E402  # after the check above
from snntorch_binary.tune.population import population_based_training as population_based_training  # noqa: E402  # after the check above
from snntorch_binary.tune.space import Range as Range  # noqa: E402  # after the check above
from snntorch_binary.tune.toy import Quadratic as Quadratic  # noqa: E402  # after the check above
