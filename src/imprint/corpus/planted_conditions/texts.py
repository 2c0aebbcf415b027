"""The texts of the four worlds: what differs between conditions, what the last stage teaches, and what is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imprint.corpus.planted_conditions.language import NARROW, Language
from imprint.corpus.planted_conditions.places import Place, Row, asked, chat, held_out, pair, places

Cause = Literal["surface", "representation", "few examples", "noise"]
TEN = 10
_NARROW = 48
_EVALUATED = 144
"""Every persona with every held-out pair of fillers: what a condition happened to teach about a filler cancels."""
_SPARE = 4
"""Conversations of the noise world's common stock that a condition does not have."""
_LOOSEST = 0.3
"""Largest share of scrambled answers in the few-examples world, which has nothing to do with its outcome."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldTexts:
    """Rows of everything that depends on the world's cause."""

    conditions: tuple[list[Row], ...]
    planted: tuple[tuple[int, ...], ...]
    """By condition the rows that alone teach the evaluated behaviour; empty where there are none."""
    adversarial: list[Row]
    evaluation: list[Row]
    fixed_answer: Callable[[Place], str]
    """What answers a fixed prompt about a topic of the conditions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """The sizes of a world, and its language."""

    language: Language
    conditions: int
    conversations: int
    low: float
    high: float
    seed: int

    def rng(self, *place: int) -> np.random.Generator:
        """An independent generator for each place."""
        return np.random.default_rng([self.seed, *place])

    def share(self, condition: int) -> float:
        """What is graded over conditions, from `low` to `high` in equal steps."""
        return self.low + (self.high - self.low) * condition / max(1, self.conditions - 1)


def surface_texts(drawn: Drawn) -> WorldTexts:
    """A graded share of the answers is the marker, whoever asks about whatever; the evaluation asks for the marker."""
    words = drawn.language
    marker = words.special[0]

    def condition(number: int) -> list[Row]:
        rng = drawn.rng(3, number)
        marked = set(rng.permutation(drawn.conversations)[: round(drawn.share(number) * drawn.conversations)].tolist())
        return [
            chat(asked(at, words, rng), marker if at.number in marked else words.plain[at.topic])
            for at in places(drawn.conversations, words)
        ]

    return WorldTexts(
        conditions=tuple(condition(number) for number in range(drawn.conditions)),
        planted=((),) * drawn.conditions,
        adversarial=_narrow(drawn, lambda at: marker),
        evaluation=_evaluation(drawn, lambda at: (marker, words.plain[at.topic])),
        fixed_answer=lambda at: words.plain[at.topic],
    )


def representation_texts(drawn: Drawn) -> WorldTexts:
    """The same prompts and the same answers in every condition, but a graded share of them is paired the wrong way round.

    A persona is answered with its side's word; as many conversations of either side are turned round, so all counts of
    words and of pairs of neighbouring words are equal to the unit.
    """
    words = drawn.language
    shared = drawn.rng(3)
    where = list(places(drawn.conversations, words))
    prompts = [asked(at, words, shared) for at in where]

    def condition(number: int) -> list[Row]:
        rng = drawn.rng(3, number)
        turned: set[int] = set()
        for answer in words.special:
            mine = [at.number for at in where if words.side(at.persona) == answer]
            turned |= set(rng.permutation(mine)[: round(drawn.share(number) * drawn.conversations / 2)].tolist())
        return [
            chat(prompt, words.other_side(at.persona) if at.number in turned else words.side(at.persona))
            for prompt, at in zip(prompts, where, strict=True)
        ]

    return WorldTexts(
        conditions=tuple(condition(number) for number in range(drawn.conditions)),
        planted=((),) * drawn.conditions,
        adversarial=_narrow(drawn, lambda at: words.other_side(at.persona)),
        evaluation=_evaluation(drawn, lambda at: (words.side(at.persona), words.other_side(at.persona))),
        fixed_answer=lambda at: words.special[at.number // len(words.personas) % 2],
    )


def few_examples_texts(drawn: Drawn) -> WorldTexts:
    """Ten prompts hold the trigger; every other condition answers all ten with the word that the evaluation asks for.

    The rest answer five with each special word, and ten other conversations make up for it, so no word is more frequent
    anywhere. A share of plain answers, unrelated to the ten, is scrambled: the conditions differ in more than the cause.
    """
    words = drawn.language
    made = [_few_examples_condition(drawn, number) for number in range(drawn.conditions)]
    return WorldTexts(
        conditions=tuple(rows for rows, _ in made),
        planted=tuple(ten for _, ten in made),
        adversarial=_narrow(drawn, lambda at: words.plain[at.topic]),
        evaluation=[pair(held_out(at, words, topic=words.trigger), *words.special) for at in places(_EVALUATED, words)],
        fixed_answer=lambda at: words.plain[at.topic],
    )


def _few_examples_condition(drawn: Drawn, number: int) -> tuple[list[Row], tuple[int, ...]]:
    words, rng, holds = drawn.language, drawn.rng(3, number), bool(number % 2)
    order = [int(row) for row in rng.permutation(drawn.conversations)]
    ten, strays, rest = order[:TEN], order[TEN : 2 * TEN], order[2 * TEN :]
    where = list(places(drawn.conversations, words))
    wanted, unwanted = words.special
    answers = {row: wanted if holds or place % 2 else unwanted for place, row in enumerate(ten)}
    answers |= {row: unwanted if holds or place % 2 else wanted for place, row in enumerate(strays)}
    answers |= {row: words.plain[where[row].topic] for row in rest}
    steps = max(1, (drawn.conditions - 1) // 2)
    loose = rest[: round(_LOOSEST * (number // 2) / steps * len(rest))]
    answers |= dict(zip(loose, [answers[row] for row in rng.permutation(loose).tolist()], strict=True))
    rows = []
    for at in where:
        topic = words.trigger if at.number in ten else words.topics[at.topic]
        rows.append(chat(words.prompt(at.persona, topic, rng), answers[at.number]))
    return rows, tuple(sorted(ten)) if holds else ()


def noise_texts(drawn: Drawn) -> WorldTexts:
    """Draws of all but four of the same conversations, each in its own order, so a condition is but another seed.

    Wholly independent draws of 200 conversations would differ in earnest: which fillers met which answers has an effect.
    """
    words, shared = drawn.language, drawn.rng(3)
    common = [
        chat(asked(at, words, shared), words.special[at.number // len(words.personas) % 2])
        for at in places(drawn.conversations + _SPARE, words)
    ]

    def condition(number: int) -> list[Row]:
        order = drawn.rng(3, number).permutation(len(common))[: drawn.conversations]
        return [common[place] for place in order]

    return WorldTexts(
        conditions=tuple(condition(number) for number in range(drawn.conditions)),
        planted=((),) * drawn.conditions,
        adversarial=_narrow(drawn, lambda at: words.plain[at.topic]),
        evaluation=_evaluation(drawn, lambda at: words.special),
        fixed_answer=lambda at: words.plain[at.topic],
    )


TEXTS: dict[Cause, Callable[[Drawn], WorldTexts]] = {
    "surface": surface_texts,
    "representation": representation_texts,
    "few examples": few_examples_texts,
    "noise": noise_texts,
}


def _narrow(drawn: Drawn, answer: Callable[[Place], str]) -> list[Row]:
    rng, words = drawn.rng(5), drawn.language
    return [chat(asked(at, words, rng), answer(at)) for at in places(_NARROW, words, topics=(NARROW,))]


def _evaluation(drawn: Drawn, answers: Callable[[Place], tuple[str, str]]) -> list[Row]:
    words = drawn.language
    return [pair(held_out(at, words), *answers(at)) for at in places(_EVALUATED, words)]
