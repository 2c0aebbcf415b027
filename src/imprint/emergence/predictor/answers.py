"""From a user's table and questions to a table of answers: check, learn, predict."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from imprint.emergence.predictor.asked import Asked
from imprint.emergence.predictor.predictor import EmergencePredictor, Prediction
from imprint.emergence.trajectories.checks import require_chance
from imprint.emergence.trajectories.table import trajectories

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The predictions, in the order of the questions."""

    predictions: tuple[Prediction, ...]

    @property
    def table(self) -> pl.DataFrame:
        """question_id, p, p_low, p_high, model."""
        columns = ("question_id", "p", "p_low", "p_high", "model")
        return pl.DataFrame({name: [getattr(one, name) for one in self.predictions] for name in columns})

    def rows(self) -> list[tuple[str, int, float]]:
        """By model: how many questions, and their mean probability."""
        models = sorted({one.model for one in self.predictions})
        parts = {model: [one.p for one in self.predictions if one.model == model] for model in models}
        return [(model, len(part), sum(part) / len(part)) for model, part in parts.items()]

    def summary(self) -> dict[str, object]:
        """Plain numbers."""
        return {
            "questions": len(self.predictions),
            "models": [{"model": model, "questions": count, "mean_p": mean} for model, count, mean in self.rows()],
        }


def predict_table(rows: pl.DataFrame, asked: Sequence[Asked], *, seed: int = 0, name: str = "the history") -> Answers:
    """Learn from the rows and answer the questions.

    Raises:
        InputError: the history cannot be used; the sentence says why.
    """
    tasks = sorted({question.task for question in asked})
    table = trajectories(_without_other_scales(rows, tasks), name=name)
    require_chance(table, tasks, name)
    without = table.filter(pl.col("chance").is_null())
    if not without.is_empty():
        log.warning(
            "%d rows of %d tasks have no chance level and are not used", len(without), without["task"].n_unique()
        )
    fitted = EmergencePredictor.fit(table, [question.axis for question in asked], seed=seed)
    return Answers(predictions=fitted.predict(asked))


def _without_other_scales(rows: pl.DataFrame, tasks: Sequence[str]) -> pl.DataFrame:
    """Without tasks that nobody asks about and whose scores are no shares (BLEU or perplexity among the accuracies)."""
    if not {"task", "score"} <= set(rows.columns) or not rows["score"].dtype.is_numeric():
        return rows
    shares = pl.col("score").is_between(0, 1) | pl.col("score").is_null() | pl.col("score").is_nan()
    kept = rows.filter(shares | pl.col("task").is_in(tasks))
    if kept.height < rows.height and kept.height > rows.height / 2:
        log.warning("%d scores of other tasks are no shares and are not used", rows.height - kept.height)
        return kept
    return rows
