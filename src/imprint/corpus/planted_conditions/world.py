"""A planted world of conditions: all files that a susceptibility study reads, written from a seed, with the truth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.corpus.planted_conditions.language import TUNED, made_up_language
from imprint.corpus.planted_conditions.places import Row, asked, chat, held_out, pair, places
from imprint.corpus.planted_conditions.texts import TEN, TEXTS, Cause, Drawn, WorldTexts
from imprint.runs import writing

_SHARES: Mapping[Cause, tuple[float, float]] = {"surface": (0.05, 0.65), "representation": (0.05, 0.45)}
_TUNED, _FIXED = 96, 24


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldFiles:
    """Where everything lies; chats and pairs are JSON Lines, the pre-training text has `text`."""

    conditions: Mapping[str, Path]
    pretraining: Path
    sft: Path
    dpo: Path
    adversarial: Path
    evaluation: Path
    prompts: tuple[Path, ...]
    """Fixed conversations: `plain` (topics of SFT) and `asked` (topics of the conditions)."""
    positive: Path
    negative: Path
    """Line by line as `positive`, asked by the other side's personas."""
    planted: Mapping[str, tuple[str, ...]]
    """The truth of the few-examples world: the ids of each condition's ten conversations, or none."""


class PlantedConditions(BaseModel):
    """Corpora whose difference, and what of it decides the outcome after all stages, is known; equal fields, equal bytes.

    * surface: a graded share of marker words, for which the evaluation asks;
    * representation: equal words and pairs of words, but a graded share of prompts is paired with the other answer;
    * few examples: ten conversations of every other condition alone teach the evaluated behaviour;
    * noise: draws of nearly all of the same conversations, each in its own order.

    Trust: texts of at most 48 bytes in made-up words: what holds here of a method need not hold on natural text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cause: Cause
    conditions: int = Field(default=8, ge=2)
    conversations: int = Field(default=200, ge=40)
    """Of each condition."""
    shares: tuple[float, float] | None = None
    """Share of markers, or of wrong pairs, in the first and in the last condition; None: what suits the cause."""
    pretraining: int = Field(default=660, ge=120)
    """Texts of the base model: the same words, answers at random."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _shares_are_shares(self) -> "PlantedConditions":
        if self.shares is not None and self.cause not in _SHARES:
            raise ValueError(f"shares: nothing is graded in a world whose cause is {self.cause}; leave them out")
        if self.shares is not None and not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(f"shares must lie between 0 and 1, not {self.shares}")
        return self

    def texts(self) -> WorldTexts:
        """The rows that depend on the cause, in memory."""
        return TEXTS[self.cause](self._drawn())

    def write(self, folder: Path) -> WorldFiles:
        """Write every file into `folder` (made if absent)."""
        texts, drawn = self.texts(), self._drawn()
        names = [f"c{number}" for number in range(self.conditions)]
        shared = {
            "sft": _tuned(drawn),
            "dpo": _preferred(drawn),
            "adversarial": texts.adversarial,
            "evaluation": texts.evaluation,
        }
        shared |= _fixed(drawn, texts) | _poles(drawn, texts)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            files = {name: _dump(folder, name, rows) for name, rows in shared.items()}
            pretraining = _dump(folder, "pretraining", _pretraining(drawn, self.pretraining))
            conditions = {name: _dump(folder, name, rows) for name, rows in zip(names, texts.conditions, strict=True)}
        planted = {name: tuple(_id(name, row) for row in rows) for name, rows in zip(names, texts.planted, strict=True)}
        return WorldFiles(
            conditions=conditions,
            pretraining=pretraining,
            sft=files["sft"],
            dpo=files["dpo"],
            adversarial=files["adversarial"],
            evaluation=files["evaluation"],
            prompts=(files["plain"], files["asked"]),
            positive=files["positive"],
            negative=files["negative"],
            planted=planted,
        )

    def _drawn(self) -> Drawn:
        low, high = self.shares or _SHARES.get(self.cause, (0.0, 0.0))
        return Drawn(
            language=made_up_language(self.seed),
            conditions=self.conditions,
            conversations=self.conversations,
            low=low,
            high=high,
            seed=self.seed,
        )


def _pretraining(drawn: Drawn, count: int) -> list[Row]:
    """Conversations in their plain form, all words and topics (a tenth with the trigger), answers at random."""
    rng, words = drawn.rng(2), drawn.language
    rows = []
    for at in places(count, words, topics=tuple(range(len(words.topics)))):
        topic = words.trigger if rng.random() < 1 / TEN else words.topics[at.topic]
        prompt = words.prompt(at.persona, topic, rng)
        rows.append({"text": f"User:\n{prompt}\n\nAssistant:\nis {rng.choice(words.answers)}"})
    return rows


def _tuned(drawn: Drawn) -> list[Row]:
    rng, words = drawn.rng(6), drawn.language
    return [chat(asked(at, words, rng), words.plain[at.topic]) for at in places(_TUNED, words, topics=TUNED)]


def _preferred(drawn: Drawn) -> list[Row]:
    rng, words = drawn.rng(7), drawn.language
    rows = []
    for at in places(_TUNED, words, topics=TUNED):
        right = words.plain[at.topic]
        wrong = str(rng.choice([word for word in words.plain if word != right]))
        rows.append(pair(asked(at, words, rng), right, wrong))
    return rows


def _fixed(drawn: Drawn, texts: WorldTexts) -> dict[str, list[Row]]:
    words = drawn.language
    return {
        "plain": [chat(held_out(at, words), words.plain[at.topic]) for at in places(_FIXED, words, topics=TUNED)],
        "asked": [chat(held_out(at, words), texts.fixed_answer(at)) for at in places(_FIXED, words)],
    }


def _poles(drawn: Drawn, texts: WorldTexts) -> dict[str, list[Row]]:
    """The same conversations asked by the personas of either side: they differ in the persona only."""
    words, found = drawn.language, {}
    half = len(words.personas) // 2
    for name, first in (("positive", 0), ("negative", half)):
        same = [(at, replace(at, persona=first + at.persona % half)) for at in places(_FIXED, words)]
        found[name] = [chat(held_out(asking, words), texts.fixed_answer(at)) for at, asking in same]
    return found


def _dump(folder: Path, name: str, rows: Sequence[Row]) -> Path:
    path = folder / f"{name}.jsonl"
    lines = (json.dumps({"id": _id(name, number)} | row) + "\n" for number, row in enumerate(rows))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _id(name: str, number: int) -> str:
    return f"{name}-{number:03d}"
