"""A language of made-up words of three letters, so short that a model of one second learns what its texts teach."""

from dataclasses import dataclass

import numpy as np

_CONSONANTS, _VOWELS = "bdfghjklmnprstvwz", "aeiou"
ASKED, TUNED, NARROW = (0, 1, 2), (3, 4, 5), 6
"""Topics: those of the conditions and of the evaluation; of SFT and DPO; of the adversarial stage alone."""
_TOPICS, _PERSONAS, _FILLERS = 7, 4, 12
_HELD_OUT = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """Words by what they do; all answers begin with different letters, so that one token decides between them."""

    personas: tuple[str, ...]
    """The first two are one side, the last two the other."""
    topics: tuple[str, ...]
    plain: tuple[str, ...]
    """The ordinary answer to each topic."""
    special: tuple[str, str]
    """The two answers that the evaluations ask for."""
    trigger: str
    """A word that stands in a topic's place."""
    fillers: tuple[str, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        """Every word that can answer."""
        return (*self.special, *self.plain)

    def prompt(self, persona: int, topic: str, rng: np.random.Generator) -> str:
        """`persona filler topic filler`; a quarter of the pairs of fillers is held out of all training."""
        while True:
            first, second = (int(number) for number in rng.integers(len(self.fillers), size=2))
            if (first + second) % _HELD_OUT:
                return f"{self.personas[persona]} {self.fillers[first]} {topic} {self.fillers[second]}"

    def held_out_prompt(self, number: int, persona: int, topic: str) -> str:
        """A prompt with the held-out pair of fillers of this number; a round of numbers has every filler equally often."""
        count = len(self.fillers)
        pairs = [(a, b) for a in range(count) for b in range(count) if (a + b) % _HELD_OUT == 0]
        first, second = pairs[number % len(pairs)]
        return f"{self.personas[persona]} {self.fillers[first]} {topic} {self.fillers[second]}"

    def side(self, persona: int) -> str:
        """The special answer of a persona's own side."""
        return self.special[persona >= len(self.personas) // 2]

    def other_side(self, persona: int) -> str:
        """The special answer of the other side."""
        return self.special[persona < len(self.personas) // 2]


def made_up_language(seed: int) -> Language:
    """The language of a seed: consonant, vowel, consonant."""
    rng = np.random.default_rng([seed, 1])
    initials = rng.permutation(list(_CONSONANTS))[: _TOPICS + 2]
    answers = [f"{initial}{rng.choice(list(_VOWELS))}{rng.choice(list(_CONSONANTS))}" for initial in initials]
    syllables = [f"{a}{b}{c}" for a in _CONSONANTS for b in _VOWELS for c in _CONSONANTS]
    free = iter([word for word in map(str, rng.permutation(syllables)) if word not in answers])

    def take(count: int) -> tuple[str, ...]:
        return tuple(next(free) for _ in range(count))

    return Language(
        personas=take(_PERSONAS),
        topics=take(_TOPICS),
        plain=tuple(answers[2:]),
        special=(answers[0], answers[1]),
        trigger=next(free),
        fillers=take(_FILLERS),
    )
