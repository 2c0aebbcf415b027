"""Recall of what the training text states: the right continuation among wrong ones, judged by log-probability."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from imprint.capabilities import icl
from imprint.corpus import Packed
from imprint.errors import ConfigError, ContextTooLong

CHOICES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Questions with several continuations each; the first one is right."""

    tokens: Int[np.ndarray, "question choice seq_plus_1"]
    starts: Int[np.ndarray, "question"]
    """Label position of the first token of the continuations."""
    ends: Int[np.ndarray, "question choice"]
    """Label position after the last token of each continuation."""

    @property
    def chance(self) -> float:
        """Accuracy of a model that knows nothing."""
        return 1.0 / int(self.tokens.shape[1])


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    wrong: tuple[str, ...] = Field(min_length=1)


def passage_questions(packed: Packed, *, questions: int, seed: int, without_domains: Sequence[str] = ()) -> Questions:
    """How random training passages went on after their first half, among the second halves of others of their domain.

    Raises:
        ConfigError: no domain has as many full rows as there are choices.

    Trust: a model that only knows how texts hang together beats chance as well; compare arms, not with chance.
    """
    rng = np.random.default_rng(seed)
    full = np.flatnonzero((packed.lengths >= packed.context) & ~np.isin(packed.row_domains, without_domains))
    domains = packed.row_domains[full]
    usable = full[np.isin(domains, [name for name in np.unique(domains) if (domains == name).sum() >= CHOICES])]
    if len(usable) == 0:
        raise ConfigError(f"no domain has {CHOICES} passages that fill a row of {packed.context} tokens to ask about")
    chosen = rng.permutation(usable)[:questions]
    half = packed.context // 2
    tokens = np.repeat(packed.tokens[chosen][:, None], CHOICES, axis=1)
    for question, row in enumerate(chosen):
        same = usable[packed.row_domains[usable] == packed.row_domains[row]]
        others = rng.choice(same[same != row], size=CHOICES - 1, replace=False)
        tokens[question, 1:, half + 1 :] = packed.tokens[others, half + 1 :]
    count = len(chosen)
    return Questions(
        tokens=tokens, starts=np.full(count, half), ends=np.full((count, CHOICES), packed.context, dtype=np.int64)
    )


def fact_questions(path: Path, tokenizer: PreTrainedTokenizerBase, *, context: int) -> Questions:
    """Questions of a JSONL file with `prompt`, `answer` and `wrong` (as many wrong answers in every line).

    Raises:
        ConfigError: the file cannot be read, or a line is not such a question.
        ContextTooLong: a prompt and its answer are longer than the context.
    """
    facts = _read_facts(path)
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    tokens = np.full((len(facts), 1 + len(facts[0].wrong), context + 1), bos, dtype=np.int64)
    starts, ends = np.zeros(len(facts), dtype=np.int64), np.zeros(tokens.shape[:2], dtype=np.int64)
    for number, fact in enumerate(facts):
        prompt = tokenizer(fact.prompt, add_special_tokens=False)["input_ids"]
        starts[number] = len(prompt)
        for choice, answer in enumerate((fact.answer, *fact.wrong)):
            ids = [*prompt, *tokenizer(answer, add_special_tokens=False)["input_ids"]]
            if len(ids) > context:
                raise ContextTooLong(f"{path}: question {number + 1} has {len(ids)} tokens, the context {context}")
            tokens[number, choice, 1 : len(ids) + 1], ends[number, choice] = ids, len(ids)
    return Questions(tokens=tokens, starts=starts, ends=ends)


def _read_facts(path: Path) -> list[_Fact]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the questions '{path}' cannot be read: {error}") from error
    facts = []
    for number, line in enumerate(lines, start=1):
        try:
            facts.append(_Fact.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError) as error:
            raise ConfigError(
                f"{path}: line {number} is not a question with prompt, answer and wrong: {str(error).splitlines()[0]}"
            ) from error
    if not facts or len({len(fact.wrong) for fact in facts}) != 1:
        raise ConfigError(f"{path}: {len(facts)} questions; give at least one, and as many wrong answers in each line")
    return facts


def recall(model: PreTrainedModel, questions: Questions) -> Bool[np.ndarray, "question"]:
    """Whether the right continuation has the highest log-probability a token; a tie counts as wrong."""
    asked, choices, width = questions.tokens.shape
    flat = torch.from_numpy(questions.tokens.reshape(asked * choices, width))
    lengths = torch.from_numpy(questions.ends.reshape(-1))
    losses, _ = icl.row_losses(model, flat, lengths)
    position = np.arange(width - 1)[None, None, :]
    inside = (position >= questions.starts[:, None, None]) & (position < questions.ends[:, :, None])
    means = (losses.numpy().reshape(asked, choices, width - 1) * inside).sum(-1) / inside.sum(-1)
    return np.asarray(means[:, 0] < means[:, 1:].min(axis=1))
