"""`compare --shift`: the trained networks answer a degraded test part.

inputs.py degrades, answers.py asks the networks and keeps what they say, rows.py scores them, tables.py shows the
scores, and report.py writes it all.
"""

from snntorch_binary.experiments.compare.shift.answers import answer_under
from snntorch_binary.experiments.compare.shift.report import Shift, check_shift, few_corruptions, report_shift

__all__ = ["Shift", "answer_under", "check_shift", "few_corruptions", "report_shift"]
