"""predictor: will an ability emerge by a later scale? One shipped predictor, learned from the history at hand."""

from imprint.emergence.predictor.answers import Answers, predict_table
from imprint.emergence.predictor.asked import Asked, questions_of, read_questions
from imprint.emergence.predictor.axis_predictor import AxisPredictor
from imprint.emergence.predictor.leakage import LeakageError, audit
from imprint.emergence.predictor.predictor import EmergencePredictor, Prediction

__all__ = [
    "Answers",
    "Asked",
    "AxisPredictor",
    "EmergencePredictor",
    "LeakageError",
    "Prediction",
    "audit",
    "predict_table",
    "questions_of",
    "read_questions",
]
