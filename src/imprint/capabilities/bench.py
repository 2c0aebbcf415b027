"""A bench of items: prompts and tokens are made once and serve every model and every intervention.

>>> bench = prepare(["sst2", "copa"], data, tokenizer, model=model, limit=200, seed=0)  # doctest: +SKIP
>>> scorer = bench.scorer(model, layer=16)  # doctest: +SKIP
>>> base = bench.items(scorer.score())  # doctest: +SKIP
>>> perturbed = bench.items(scorer.score([intervention]))  # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from imprint.capabilities.encoding import Encoder, Request
from imprint.capabilities.items import items_frame
from imprint.capabilities.lm_eval_bridge import Task
from imprint.capabilities.posing import Question, pose_suite
from imprint.capabilities.scoring import RequestScore, Scorer
from imprint.capabilities.suites import suites_named, task_sources
from imprint.errors import ConfigError, InputError, ModelError
from imprint.models import family_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Items of one or more suites, ready to be scored; `groups` are the requests of each question.

    `truncated` counts the requests that were longer than the model's context and lost their beginning.
    """

    questions: tuple[Question, ...]
    groups: tuple[tuple[Request, ...], ...]
    tasks: Mapping[str, Task]
    truncated: int
    mask_token: int | None

    @property
    def requests(self) -> list[Request]:
        """All requests, question by question."""
        return [request for group in self.groups for request in group]

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites, in order."""
        return tuple(dict.fromkeys(question.suite for question in self.questions))

    def scorer(self, model: PreTrainedModel, *, layer: int = 0, batch_tokens: int = 2048) -> Scorer:
        """A scorer of all requests for a model whose interventions act from block `layer` on."""
        return Scorer(model, self.requests, layer=layer, batch_tokens=batch_tokens, mask_token=self.mask_token)

    def of(self, suite: str) -> "Bench":
        """The items of one suite alone, as a bench of their own."""
        kept = [place for place, question in enumerate(self.questions) if question.suite == suite]
        if not kept:
            raise ConfigError(f"The bench has no suite '{suite}'; it has {', '.join(self.suites)}.")
        questions = tuple(self.questions[place] for place in kept)
        return replace(self, questions=questions, groups=tuple(self.groups[place] for place in kept))

    def items(self, scores: Sequence[RequestScore], answers: Mapping[int, str] | None = None) -> pl.DataFrame:
        """One row an item (see `imprint.capabilities.items`).

        `answers` maps a question's place in the bench to the text that was generated for it. A task with open answers is
        right where its own filters find the gold answer in that text; without a text, where every token of the gold
        answer is the model's most probable one.
        """
        wanted = sum(map(len, self.groups))
        if len(scores) != wanted:
            raise InputError(f"{len(scores)} scores were given for {wanted} requests; score the bench that is read.")
        given, waiting = answers or {}, iter(scores)
        rows = [
            self._row(question, [next(waiting) for _ in group], given.get(place))
            for place, (question, group) in enumerate(zip(self.questions, self.groups, strict=True))
        ]
        return items_frame(rows)

    def _row(self, question: Question, scores: Sequence[RequestScore], answer: str | None) -> dict[str, Any]:
        key = {"suite": question.suite, "task": question.task, "item": question.number, "group": question.group}
        if question.kind == "document":
            return key | self._document(question, scores)
        if question.kind == "choice":
            return key | self._choice(question, scores)
        return key | self._generated(question, scores[0], answer)

    def _document(self, question: Question, scores: Sequence[RequestScore]) -> dict[str, Any]:
        total = sum(score.log_prob for score in scores)
        metrics = self.tasks[question.task].process_results(question.document, (total,))
        return {
            "log_prob": total,
            "num_tokens": sum(score.num_tokens for score in scores),
            "words": metrics["word_perplexity"][1],
            "bytes": metrics["byte_perplexity"][1],
        }

    def _choice(self, question: Question, scores: Sequence[RequestScore]) -> dict[str, Any]:
        log_probs = np.array([score.log_prob for score in scores])
        results = [(score.log_prob, score.greedy) for score in scores]
        metrics = self.tasks[question.task].process_results(question.document, results)
        chosen = int(log_probs.argmax())
        return {
            "correct": float(metrics["acc"]),
            "acc_norm": float(metrics["acc_norm"]) if "acc_norm" in metrics else None,
            "log_prob": scores[question.gold].log_prob,
            "num_tokens": scores[question.gold].num_tokens,
            "confidence": float(1.0 / np.exp(log_probs - log_probs[chosen]).sum()),
            "prediction": question.options[chosen].strip(),
            "gold": question.options[question.gold].strip(),
            "gold_option": question.gold,
            "chance": 1.0 / len(question.options),
            "options": log_probs.tolist(),
        }

    def _generated(self, question: Question, score: RequestScore, answer: str | None) -> dict[str, Any]:
        correct = float(score.greedy) if answer is None else self._graded(question, answer)
        return {
            "correct": correct,
            "log_prob": score.log_prob,
            "num_tokens": score.num_tokens,
            "prediction": answer,
            "gold": question.options[0].strip(),
            "chance": 0.0,
        }

    def _graded(self, question: Question, answer: str) -> float:
        """Exact match by the stock task: the best of its filters (strict and flexible extraction of the answer)."""
        task = self.tasks[question.task]
        extracted = [_filtered(ensemble, answer, question.document) for ensemble in task._filters]
        return max(float(task.process_results(question.document, [one])["exact_match"]) for one in extracted)


def _filtered(ensemble: Any, answer: str, document: Mapping[str, Any]) -> Any:
    """What a stock filter extracts from one generated text."""
    responses: Any = [[answer]]
    for make in ensemble.filters:
        responses = make().apply(responses, [document])
    return next(iter(responses))


def prepare(
    suites: Sequence[str],
    data: Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    model: PreTrainedModel,
    limit: int | None = None,
    fewshot: int | None = None,
    seed: int = 0,
) -> Bench:
    """Items, prompts and tokens of suites (or abilities) whose files lie in folders of `data`.

    `limit` = items a suite, drawn at random by `seed` and spread evenly over its tasks; None = all. `fewshot` overrides
    each suite's number of shots; which items serve as shots depends on the seed and the item alone, so a larger limit
    asks the same questions and more. Of `model` only the kind and the length of its context are used.

    Raises:
        ConfigError: lm-eval, a suite, a folder or the shots are missing. CorpusError: a file is, or lacks gold answers.
        InputError: no item is left. ModelError: the tokenizer cannot encode what is asked.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit} leaves no items; give at least 1, better 200.")
    family = family_of(model.config.model_type)
    encoder = Encoder(tokenizer=tokenizer, objective=family.objective, max_length=family.context(model.config))
    posed: list[Question] = []
    tasks: dict[str, Task] = {}
    for suite in suites_named(suites):
        posed += pose_suite(suite, task_sources(suite, data), tasks, limit=limit, fewshot=fewshot, seed=seed)
    if not posed:
        raise InputError(f"{', '.join(suites)}: no items were found; check the files in {data}.")
    return _encoded(posed, tasks, encoder)


def _encoded(questions: Sequence[Question], tasks: Mapping[str, Task], encoder: Encoder) -> Bench:
    pairs = [pair for question in questions if question.kind != "document" for pair in question.pairs]
    made, truncated = encoder.pairs(pairs)
    waiting = iter(made)
    groups = [
        _windows(question, encoder) if question.kind == "document" else tuple(next(waiting) for _ in question.pairs)
        for question in questions
    ]
    mask = encoder.tokenizer.mask_token_id
    return Bench(
        questions=tuple(questions),
        groups=tuple(groups),
        tasks=tasks,
        truncated=truncated,
        mask_token=None if mask is None else int(mask),
    )


def _windows(question: Question, encoder: Encoder) -> tuple[Request, ...]:
    if encoder.objective != "causal":
        raise ModelError(
            f"{question.task}: perplexity needs a model that predicts the next token; leave the suite out."
        )
    return tuple(encoder.rolling(question.pairs[0][1]))
