"""Checks predictions against the truth: tables, charts, and one report page.

`tables` computes, `plots` draws, `report` writes the page and `examples` its example answers.
"""

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
    "calibration",
    "evaluate_predictions",
    "frequency_deciles",
    "write_report",
]
