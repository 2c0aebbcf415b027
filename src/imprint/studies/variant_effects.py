"""What a variant of training changed, task by task: paired by model, never by checkpoint, and corrected over all tasks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from imprint.errors import ConfigError
from imprint.stats import Effect, benjamini_hochberg, paired_difference

Word = Literal["raised", "lowered", "no detectable effect"]
COLUMNS = ("task", "metric", "score", "stderr", "variant", "step")


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedModel:
    """One model trained both ways: the mean difference over the checkpoints that both arms have."""

    model: str
    difference: float
    """Treatment minus baseline."""
    stderr: float
    """The items' standard error of one arm's score: the yardstick in which spreads of different tasks are pooled."""
    checkpoints: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantEffect:
    """What the variant did to one task in one metric."""

    task: str
    metric: str
    effect: Effect
    """Treatment minus baseline; the interval is over models, with the spread between models pooled over tasks."""
    alone: Effect
    """The same by this task's own models only: a t interval, wide for few models."""
    p: float
    q: float
    """Benjamini-Hochberg over all tasks and metrics that were tested together."""
    smallest: float
    """The smallest difference that this design shows as p <= .05 with a power of 80 %."""
    models: tuple[PairedModel, ...]

    @property
    def word(self) -> Word:
        """What may be said: a direction only where q <= .05."""
        if self.q > 0.05:
            return "no detectable effect"
        return "raised" if self.effect.estimate > 0 else "lowered"

    @property
    def sentence(self) -> str:
        """The finding in words, with its interval and what it could have seen."""
        found = self.effect
        return (
            f"{self.task} ({self.metric}): {self.word}; {found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}] over"
            f" {found.n} models, q = {self.q:.3f}; a difference of {self.smallest:.4f} would have been seen."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {
            "task": self.task,
            "metric": self.metric,
            "word": self.word,
            "effect": self.effect.as_dict(),
            "alone": self.alone.as_dict(),
            "p": self.p,
            "q": self.q,
            "smallest": self.smallest,
            "models": [asdict(one) for one in self.models],
            "sentence": self.sentence,
        }


def paired_models(
    table: pl.DataFrame, task: str, metric: str, *, baseline: str, treatment: str, model: str = "model"
) -> tuple[PairedModel, ...]:
    """Every model with both arms on a task: the mean over common checkpoints of treatment minus baseline."""
    rows = table.filter((pl.col("task") == task) & (pl.col("metric") == metric) & pl.col("score").is_not_null())
    arms = [rows.filter(pl.col("variant") == name) for name in (baseline, treatment)]
    both = arms[0].join(arms[1], on=[model, "step"], suffix="_treated")
    told = both.group_by(model).agg(
        difference=(pl.col("score_treated") - pl.col("score")).mean(),
        stderr=((pl.col("stderr") ** 2 + pl.col("stderr_treated") ** 2) / 2).mean().sqrt(),
        checkpoints=pl.len(),
    )
    return tuple(
        PairedModel(
            model=str(row[model]),
            difference=row["difference"],
            stderr=row["stderr"],
            checkpoints=row["checkpoints"],
        )
        for row in told.sort(model).to_dicts()
    )


def variant_effects(
    table: pl.DataFrame,
    *,
    baseline: str,
    treatment: str,
    tasks: Sequence[str] = (),
    metrics: Sequence[str] = (),
    model: str = "model",
) -> list[VariantEffect]:
    """The effect of training by `treatment` instead of `baseline` on every task and metric, the least q first.

    `table` has a row a model, variant, checkpoint, task and metric: `task, metric, score, stderr, variant, step` and `model`.
    Checkpoints of one run are averaged and count once; tasks with both arms for fewer than two models are left out.

    Trust: the unit is the model, one run an arm, so the spread between models holds run-to-run noise too. With two to four
    models that spread is hardly known from one task, so it is pooled over tasks in units of the items' standard error (as
    limma does over genes): tasks are taken to spread alike in that unit, and to be independent. `alone` is without pooling.

    Raises:
        ConfigError: a column or an arm is missing, checkpoints are doubled, or no task has both arms of two models.
    """
    _refuse(table, (baseline, treatment), model)
    kept = table.filter(pl.col("variant").is_in([baseline, treatment]))
    for column, chosen in (("task", tasks), ("metric", metrics)):
        unknown = sorted(set(chosen) - set(kept[column]))
        if unknown:
            raise ConfigError(f"no row of '{baseline}' or '{treatment}' has the {column} '{unknown[0]}'")
        kept = kept.filter(pl.col(column).is_in(list(chosen))) if chosen else kept
    _refuse_doubles(kept, model)
    pairs = kept.select("metric", "task").unique().sort("metric", "task").rows()
    found: list[VariantEffect] = []
    for name in dict.fromkeys(metric for metric, _ in pairs):
        models = {
            task: paired_models(kept, task, name, baseline=baseline, treatment=treatment, model=model)
            for metric, task in pairs
            if metric == name
        }
        found += _tested({task: one for task, one in models.items() if len(one) > 1}, name, baseline)
    if not found:
        raise ConfigError(f"no task has both '{baseline}' and '{treatment}' at the same steps for two models or more")
    corrected = benjamini_hochberg(np.array([one.p for one in found]))
    told = [replace(one, q=float(q)) for one, q in zip(found, corrected, strict=True)]
    return sorted(told, key=lambda one: (one.q, one.p, one.task))


def _tested(models: dict[str, tuple[PairedModel, ...]], metric: str, baseline: str) -> list[VariantEffect]:
    """The tasks of one metric, each tested with the spread that all share."""
    if not models:
        return []
    in_errors = {task: np.array([one.difference / one.stderr for one in pairs]) for task, pairs in models.items()}
    freedom = sum(len(one) - 1 for one in in_errors.values())
    spread = float(np.sqrt(sum(((one - one.mean()) ** 2).sum() for one in in_errors.values()) / freedom))
    return [_one(task, metric, pairs, max(spread, 1e-9), freedom, baseline) for task, pairs in models.items()]


def _one(
    task: str, metric: str, models: tuple[PairedModel, ...], spread: float, freedom: int, baseline: str
) -> VariantEffect:
    differences = np.array([one.difference for one in models])
    errors: Float[np.ndarray, " model"] = np.array([one.stderr for one in models])
    mean, stderr = float(differences.mean()), spread * float(np.sqrt((errors**2).sum())) / len(models)
    reach = float(stats.t.ppf(0.975, freedom)) * stderr
    pooled = Effect(
        estimate=mean,
        low=mean - reach,
        high=mean + reach,
        n=len(models),
        unit="run",
        control=baseline,
        metric=metric,
        note=f"spread between models pooled over tasks ({freedom} degrees of freedom)",
    )
    return VariantEffect(
        task=task,
        metric=metric,
        effect=pooled,
        alone=paired_difference(
            differences, np.zeros(len(models)), seed=0, unit="run", control_name=baseline, metric=metric
        ),
        p=float(2 * stats.t.sf(abs(mean) / stderr, freedom)),
        q=1.0,
        smallest=reach + float(stats.t.ppf(0.8, freedom)) * stderr,
        models=models,
    )


def _refuse(table: pl.DataFrame, arms: tuple[str, str], model: str) -> None:
    missing = [name for name in (*COLUMNS, model) if name not in table.columns]
    if missing:
        raise ConfigError(f"the table has no column '{missing[0]}'; it needs {', '.join((*COLUMNS, model))}")
    known = set(table["variant"].drop_nulls())
    lost = [arm for arm in arms if arm not in known]
    if lost:
        raise ConfigError(f"the table has no variant '{lost[0]}'; it has {', '.join(sorted(map(str, known))[:12])}")
    unerred = table.filter(pl.col("variant").is_in(list(arms)) & ~(pl.col("stderr") > 0).fill_null(False))
    if not unerred.is_empty():
        row = unerred.row(0, named=True)
        raise ConfigError(
            f"task '{row['task']}' ({row['metric']}) has a score without a standard error above 0: add it"
            " (sqrt(p (1 - p) / n) for a share of n items) or leave the task out"
        )


def _refuse_doubles(kept: pl.DataFrame, model: str) -> None:
    doubled = kept.filter(pl.struct(model, "variant", "step", "task", "metric").is_duplicated())
    if not doubled.is_empty():
        row = doubled.row(0, named=True)
        raise ConfigError(
            f"task '{row['task']}' ({row['metric']}) has more than one score of {row[model]}, {row['variant']}, at step"
            f" {row['step']:g}: keep one"
        )
