"""The numbers of an emergence study as plain data for `evidence.json`."""

import math
from typing import Any

from imprint.stats import Undefined
from imprint.studies import EmergenceResult
from imprint.studies.emergence import AllocationFinding, PredictionFinding


def emergence_numbers(result: EmergenceResult) -> dict[str, Any]:
    """Deviations, every test of an effect, the refined graph, abruptness, predictions and allocation, ready for JSON."""
    return {
        "deviations": list(result.study.deviations),
        "effects": result.findings.as_dict(),
        "graph": result.refined.as_dict(),
        "beside": result.beside.as_dict(),
        "abruptness": [one.as_dict() for one in result.abruptness],
        "prediction": _prediction(result.prediction),
        "foretold": result.foretold,
        "backtest": _prediction(result.backtest),
        "allocation": _allocation(result.allocation),
    }


def _prediction(found: PredictionFinding | Undefined | None) -> dict[str, Any] | None:
    """As it is; the AUC of persistence is None where ranks cannot be judged."""
    if not isinstance(found, PredictionFinding):
        return None if found is None else found.as_dict()
    numbers = found.as_dict()
    return numbers | {"persistence_auc": None if math.isnan(found.persistence_auc) else found.persistence_auc}


def _allocation(found: AllocationFinding | Undefined | None) -> dict[str, Any] | None:
    return None if found is None else found.as_dict()
