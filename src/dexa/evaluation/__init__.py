"""Checks predictions against the truth: tables, charts, and one report page.

`tables` computes, `plots` draws, `report` writes the page and `examples` its example answers;
`datasets` does all of it for the test split of a data set.
"""

from dexa.evaluation.datasets import ReportPage, answers_needed, evaluate_on
from dexa.evaluation.report import write_report
from dexa.evaluation.tables import (
    CalibrationBin,
    Evaluation,
    FrequencyDecile,
    calibration,
    evaluate_predictions,
    frequency_deciles,
)

__all__ = [
    "CalibrationBin",
    "Evaluation",
    "FrequencyDecile",
    "ReportPage",
    "answers_needed",
    "calibration",
    "evaluate_on",
    "evaluate_predictions",
    "frequency_deciles",
    "write_report",
]
