"""The rules a network can learn by in an experiment: what each makes of a float network, and with what settings."""

# The order in which rules register themselves is that of tables.
# isort: off
from snntorch_binary.experiments.rules.real_and_binary import Bayes as Bayes
from snntorch_binary.experiments.rules.real_and_binary import FullPrecision as FullPrecision
from snntorch_binary.experiments.rules.real_and_binary import StraightThrough as StraightThrough
from snntorch_binary.experiments.rules.winner_take_all import VOWELBinary as VOWELBinary
from snntorch_binary.experiments.rules.winner_take_all import VOWELWinnerTakeAll as VOWELWinnerTakeAll
from snntorch_binary.experiments.rules.soft_lif import SoftLIF as SoftLIF
from snntorch_binary.experiments.rules.soft_lif import SoftLIFBayes as SoftLIFBayes
from snntorch_binary.experiments.rules.soft_lif import SoftLIFStraightThrough as SoftLIFStraightThrough
from snntorch_binary.experiments.rules.chosen import DEFAULT_RULES as DEFAULT_RULES
from snntorch_binary.experiments.rules.chosen import make_rule as make_rule
from snntorch_binary.experiments.rules.chosen import rules_of as rules_of
from snntorch_binary.experiments.rules.rule import IN_SPIKES as IN_SPIKES
from snntorch_binary.experiments.rules.rule import RULES as RULES
from snntorch_binary.experiments.rules.rule import Presentation as Presentation
from snntorch_binary.experiments.rules.rule import Rule as Rule
from snntorch_binary.experiments.rules.rule import alone as alone
from snntorch_binary.experiments.rules.rule import in_spikes as in_spikes
from snntorch_binary.experiments.rules.rule import register_rule as register_rule
# isort: on
