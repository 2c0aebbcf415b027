"""Quality of generated texts by stated automatic measures: coherence, variety, repetition and relevance.

None of them needs a download or a judge. They notice text that falls apart or leaves its subject; they do not notice fluent
nonsense.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from imprint.capabilities.encoding import Encoder
from imprint.capabilities.scoring import Scorer
from imprint.errors import InputError
from imprint.models import family_of
from imprint.stats import Effect, bootstrap_mean

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Means over texts, each with its interval.

    coherence      mean log-probability of a token under the reference model, nats (higher = more coherent, 0 the most)
    distinct_1, _2 different words (pairs of words) over all of a text: 1 no word twice (Li et al. 2016)
    repetition     share of 4-grams of words that occurred before in the text: 0 none, 1 all
    relevance      similarity with the own prompt minus the mean with the other prompts: 0 = any prompt would do
    gold_f1        overlap of words with the gold text (SQuAD's F1); None without gold texts
    """

    coherence: Effect
    distinct_1: Effect
    distinct_2: Effect
    repetition: Effect
    relevance: Effect
    gold_f1: Effect | None


def quality(
    prompts: Sequence[str],
    texts: Sequence[str],
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    gold: Sequence[str] | None = None,
    seed: int = 0,
) -> Quality:
    """The measures of texts that continue prompts; `reference` is the model before the intervention.

    Empty texts count in every measure: coherence leaves them out and the rest gives them 0 (repetition 0, distinct 0).

    Raises:
        InputError: lengths differ, or fewer than 2 prompts, or fewer than 2 texts with any word.

    Trust: coherence rewards repetition (a loop is highly probable), so read it beside `repetition`.
    """
    if len(prompts) != len(texts) or len(texts) < 2:
        raise InputError(f"{len(prompts)} prompts and {len(texts)} texts: give one text a prompt, at least 2.")
    bags = [words(text) for text in texts]
    columns: Mapping[str, np.ndarray] = {
        "distinct_1": np.array([distinct(bag, 1) for bag in bags]),
        "distinct_2": np.array([distinct(bag, 2) for bag in bags]),
        "repetition": np.array([repetition(bag) for bag in bags]),
        "relevance": relevance(prompts, texts),
    }
    found = {name: _mean(values, name, seed) for name, values in columns.items()}
    matched = None if gold is None else np.array([overlap_f1(text, one) for text, one in zip(texts, gold, strict=True)])
    return Quality(
        coherence=_mean(coherence(prompts, texts, reference, tokenizer), "coherence", seed),
        distinct_1=found["distinct_1"],
        distinct_2=found["distinct_2"],
        repetition=found["repetition"],
        relevance=found["relevance"],
        gold_f1=None if matched is None else _mean(matched, "gold_f1", seed),
    )


def _mean(values: np.ndarray, metric: str, seed: int) -> Effect:
    return bootstrap_mean(values.astype(np.float64), seed=seed, unit="item", control_name="none", metric=metric)


def words(text: str) -> list[str]:
    """The words of a text in lower case, punctuation aside."""
    return _WORD.findall(text.lower())


def distinct(tokens: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams; 0 if the text is too short to have one."""
    grams = _grams(tokens, n)
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(tokens: Sequence[str], n: int = 4) -> float:
    """The share of n-grams that occurred before in the text; 0 if the text is too short to have one."""
    grams = _grams(tokens, n)
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]


def overlap_f1(text: str, gold: str) -> float:
    """Harmonic mean of the shares of words that text and gold have in common (Rajpurkar et al. 2016)."""
    mine, theirs = Counter(words(text)), Counter(words(gold))
    shared = sum((mine & theirs).values())
    return 2.0 * shared / (mine.total() + theirs.total()) if shared else 0.0


def relevance(prompts: Sequence[str], texts: Sequence[str]) -> Float[np.ndarray, " text"]:
    """For each text: similarity with its own prompt minus its mean similarity with the other prompts, in [-1, 1].

    Similarity is the cosine of bags of words weighted by log(prompts / prompts that have the word), so words of every
    prompt (instructions, shots) count nothing. Prompts that are all alike give 0.
    """
    vectors = _weighted([Counter(words(prompt)) for prompt in prompts], [Counter(words(text)) for text in texts])
    similarity = vectors[1] @ vectors[0].T
    own = np.diag(similarity)
    others = (similarity.sum(1) - own) / (len(prompts) - 1)
    return np.asarray(own - others, dtype=np.float64)


def _weighted(prompts: Sequence[Counter[str]], texts: Sequence[Counter[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of prompts and texts over the words of the prompts (zero vectors stay zero)."""
    spread = Counter(word for bag in prompts for word in bag)
    index = {word: place for place, word in enumerate(sorted(spread))}
    weight = np.array([math.log(len(prompts) / spread[word]) for word in sorted(spread)])
    return _unit(prompts, index, weight), _unit(texts, index, weight)


def _unit(bags: Sequence[Counter[str]], index: Mapping[str, int], weight: np.ndarray) -> np.ndarray:
    table = np.zeros((len(bags), len(index)))
    for row, bag in enumerate(bags):
        for word, count in bag.items():
            if word in index:
                table[row, index[word]] = count
    table *= weight
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    return np.asarray(table / np.where(norms > 0, norms, 1.0))


def coherence(
    prompts: Sequence[str], texts: Sequence[str], reference: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> Float[np.ndarray, " text"]:
    """Mean log-probability a token of each non-empty text after its prompt, under the reference model, in nats."""
    family = family_of(reference.config.model_type)
    encoder = Encoder(tokenizer=tokenizer, objective=family.objective, max_length=family.context(reference.config))
    kept = [(prompt, text) for prompt, text in zip(prompts, texts, strict=True) if text.strip()]
    if len(kept) < 2:
        raise InputError(f"{len(kept)} of {len(texts)} texts hold anything; coherence needs at least 2.")
    requests, _ = encoder.pairs(kept)
    scores = Scorer(reference, requests, mask_token=tokenizer.mask_token_id).score()
    return np.array([score.log_prob / score.num_tokens for score in scores])
