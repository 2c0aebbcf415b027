"""A model on a bench, with or without interventions: items first, then what they add up to."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats
from sklearn.metrics import f1_score
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from imprint.capabilities.bench import Bench
from imprint.capabilities.confidence import (
    CalibrationError,
    ReliabilityBin,
    brier,
    calibration_error,
    reliability_curve,
)
from imprint.capabilities.generation import Decoding, continuations
from imprint.capabilities.perplexity import Perplexity, perplexity
from imprint.interventions.activations import Intervention
from imprint.stats import Effect, bootstrap_mean
from imprint.types import Advance, no_progress

_LM_EVAL_NEW_TOKENS = 256
_FEW_LABELS = 10
"""F1 and the majority share mean something where the same few answers recur."""


def evaluate(
    bench: Bench,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    interventions: Sequence[Intervention] = (),
    generate: bool = True,
    max_new_tokens: int = _LM_EVAL_NEW_TOKENS,
    batch_tokens: int = 2048,
    advance: Advance = no_progress,
) -> pl.DataFrame:
    """The items of a bench for one model (see `items`). `advance` counts tokens scored and questions answered.

    With `generate`, tasks with open answers are answered greedily with at most `max_new_tokens` (or fewer, if the stock
    task says so) and graded by the stock filters; without, an answer counts as right if it is the greedy one given the
    prompt alone, which a chain of thought never is.
    """
    scores = bench.scorer(model, batch_tokens=batch_tokens).score(interventions, advance=advance)
    answers = generated(bench, model, tokenizer, interventions, max_new_tokens, advance) if generate else None
    return bench.items(scores, answers)


def generated(
    bench: Bench,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    interventions: Sequence[Intervention] = (),
    max_new_tokens: int = _LM_EVAL_NEW_TOKENS,
    advance: Advance = no_progress,
) -> dict[int, str]:
    """The model's answer to every question with open answers, by the question's place in the bench."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, question in enumerate(bench.questions):
        if question.kind == "generate":
            places[question.task].append(place)
    answers: dict[int, str] = {}
    for task, mine in places.items():
        prompts = [bench.questions[place].prompt for place in mine]
        decoding = _decoding(bench.tasks[task].config.generation_kwargs or {}, max_new_tokens)
        texts = continuations(model, tokenizer, prompts, decoding, interventions=interventions, advance=advance)
        answers |= zip(mine, texts, strict=True)
    return answers


def _decoding(stock: Mapping[str, Any], max_new_tokens: int) -> Decoding:
    until = stock.get("until") or ()
    texts = (until,) if isinstance(until, str) else tuple(until)
    return Decoding(max_new_tokens=min(max_new_tokens, stock.get("max_gen_toks", _LM_EVAL_NEW_TOKENS)), until=texts)


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteSummary:
    """What the items of one suite add up to; None where a measure does not apply to it.

    `chance` = accuracy of guessing among the options; `majority` = share of the commonest gold answer, the accuracy of a
    constant, where few answers recur. `log_prob` = mean log-probability of the gold answer in nats, always beside accuracy.
    """

    suite: str
    items: int
    accuracy: Effect | None
    chance: float | None
    majority: float | None
    acc_norm: Effect | None
    f1_macro: float | None
    log_prob: Effect
    calibration: CalibrationError | None
    brier: Effect | None
    reliability: tuple[ReliabilityBin, ...]
    perplexity: Perplexity | None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def summarise(frame: pl.DataFrame, *, seed: int = 0) -> list[SuiteSummary]:
    """One summary a suite, in order. Intervals are bootstrap over items (a suite of one item raises `InputError`).

    Trust: the items of a suite count equally whatever task they come from; items of one group are not independent, so
    their interval is a little too narrow (resample groups in a comparison).
    """
    return [
        _summary(frame.filter(pl.col("suite") == suite), suite, seed)
        for suite in frame["suite"].unique(maintain_order=True)
    ]


def _summary(items: pl.DataFrame, suite: str, seed: int) -> SuiteSummary:
    graded = items.drop_nulls("correct")
    chosen = graded.drop_nulls("confidence")
    documents = items.drop_nulls("words")
    correct = chosen["correct"].to_numpy()
    confidence = chosen["confidence"].to_numpy().clip(0.0, 1.0)
    return SuiteSummary(
        suite=suite,
        items=len(items),
        accuracy=_mean(graded, "correct", "accuracy", seed),
        chance=_number(graded["chance"].mean()),
        majority=_majority(graded),
        acc_norm=_mean(items.drop_nulls("acc_norm"), "acc_norm", "acc_norm", seed),
        f1_macro=_f1(chosen),
        log_prob=bootstrap_mean(
            items["log_prob"].to_numpy(), seed=seed, unit="item", control_name="certainty, 0", metric="log_prob"
        ),
        calibration=calibration_error(confidence, correct, seed=seed) if len(chosen) > 1 else None,
        brier=_brier(chosen, seed),
        reliability=tuple(reliability_curve(confidence, correct)) if len(chosen) > 1 else (),
        perplexity=perplexity(documents, seed=seed) if len(documents) > 1 else None,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _mean(items: pl.DataFrame, column: str, metric: str, seed: int) -> Effect | None:
    """A share of right answers has a Wilson interval, which stays within 0 and 1 also for few items."""
    if len(items) < 2:
        return None
    values, control = items[column].to_numpy(), f"chance {_number(items['chance'].mean()):.4f}"
    if not np.isin(values, (0.0, 1.0)).all():
        return bootstrap_mean(values, seed=seed, unit="item", control_name=control, metric=metric)
    share = float(values.mean())
    interval = stats.binomtest(round(values.sum()), len(values)).proportion_ci(method="wilson")
    return Effect(
        estimate=share,
        low=min(float(interval.low), share),
        high=max(float(interval.high), share),
        n=len(values),
        unit="item",
        control=control,
        metric=metric,
    )


def _majority(graded: pl.DataFrame) -> float | None:
    counts = graded["gold"].drop_nulls().value_counts()["count"]
    few = 0 < len(counts) <= min(_FEW_LABELS, len(graded) // 2)
    return float(counts.to_numpy().max() / len(graded)) if few else None


def _f1(chosen: pl.DataFrame) -> float | None:
    """Macro F1 where the options are the same few labels for every item."""
    if len(chosen) < 2 or chosen["gold"].n_unique() > _FEW_LABELS:
        return None
    return float(f1_score(chosen["gold"].to_list(), chosen["prediction"].to_list(), average="macro", zero_division=0.0))


def _brier(chosen: pl.DataFrame, seed: int) -> Effect | None:
    if len(chosen) < 2:
        return None
    rows = chosen["options"].to_list()
    width = max(map(len, rows))
    present = np.array([[place < len(row) for place in range(width)] for row in rows])
    padded = np.array([[*row, *[-np.inf] * (width - len(row))] for row in rows])
    weights = np.exp(padded - padded.max(1, keepdims=True))
    gold = chosen["gold_option"].to_numpy()
    return brier(weights / weights.sum(1, keepdims=True), gold, present=present, seed=seed)
