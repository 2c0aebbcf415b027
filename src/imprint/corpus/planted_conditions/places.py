"""Numbered conversations: which persona asks about which topic, every combination equally often."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from imprint.corpus.planted_conditions.language import ASKED, Language

Row = dict[str, str]
"""A line of a chat file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Who asks about what in conversation `number`."""

    number: int
    persona: int
    topic: int


def places(count: int, language: Language, *, topics: tuple[int, ...] = ASKED) -> Iterator[Place]:
    """The first `count` places; personas change fastest."""
    personas = len(language.personas)
    for number in range(count):
        yield Place(number=number, persona=number % personas, topic=topics[number // personas % len(topics)])


def asked(place: Place, language: Language, rng: np.random.Generator) -> str:
    """The prompt of a place in training text."""
    return language.prompt(place.persona, language.topics[place.topic], rng)


def held_out(place: Place, language: Language, *, topic: str | None = None) -> str:
    """The prompt of a place that no training text has; every persona meets every held-out pair of fillers."""
    number = place.number // len(language.personas)
    return language.held_out_prompt(number, place.persona, topic or language.topics[place.topic])


def chat(prompt: str, answer: str) -> Row:
    """A conversation; every answer begins with one word, so that no pair of words spans prompt and answer word."""
    return {"prompt": prompt, "response": f"is {answer}"}


def pair(prompt: str, chosen: str, rejected: str) -> Row:
    """A preference between two answers."""
    return {"prompt": prompt, "chosen": f"is {chosen}", "rejected": f"is {rejected}"}
