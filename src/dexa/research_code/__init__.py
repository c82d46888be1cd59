"""The research code's contract: its two shell commands, its folders, its configurations.

``prepare_data.sh`` and ``run_main.sh`` at the repository's root call ``python -m
dexa.research_code``. Their work folder holds ``data``, ``models`` and ``results``, and a run leaves
the files that the research code's users know.
"""

from dexa.research_code.config import recipe_from_config, results_from_config
from dexa.research_code.place import Place, RunRequest
from dexa.research_code.run import prepare_data, run

__all__ = [
    "Place",
    "RunRequest",
    "prepare_data",
    "recipe_from_config",
    "results_from_config",
    "run",
]
