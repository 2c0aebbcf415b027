"""The sign of the gold answer's gradient on the tokens of each question: what gradient-sign injection adds (source 000)."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from imprint.capabilities.bench import Bench
from imprint.capabilities.rows import Batch
from imprint.capabilities.scoring import Scorer
from imprint.errors import ModelError
from imprint.interventions.activations import gradient_signs
from imprint.models import reading


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A row of the scorer: its question, its tokens, and the signs if the gold answer is read from it."""

    question: int
    ids: tuple[int, ...]
    signs: Tensor | None


def gold_signs(bench: Bench, scorer: Scorer, site: str) -> Int[Tensor, "row position width"]:
    """sign(dL/dh) in int8 for every row of the scorer, L = minus the log-probability of the question's gold answer.

    A step along it makes the gold answer less likely. Only tokens that the options of a question share, up to where its
    first answer token is predicted, have a sign: all options are pushed alike.

    Raises:
        ModelError: the model does not predict the next token.

    Trust: it needs the labels, so it shows how fragile the answers are at these tokens, not that the tokens matter;
    compare with as many random tokens.
    """
    if scorer.objective != "causal":
        raise ModelError("Gradient signs of answers need a model that predicts the next token; leave the family out.")
    gold, owner = _gold_requests(bench), _owners(bench)
    rows = [row for batch in scorer.batches for row in _rows(scorer, batch, gold, owner, site)]
    return _shared(rows)


def _gold_requests(bench: Bench) -> set[int]:
    gold, start = set(), 0
    for question, group in zip(bench.questions, bench.groups, strict=True):
        gold.add(start + question.gold)
        start += len(group)
    return gold


def _owners(bench: Bench) -> list[int]:
    return [number for number, group in enumerate(bench.groups) for _ in group]


def _rows(scorer: Scorer, batch: Batch, gold: set[int], owner: list[int], site: str) -> list[_Row]:
    asked = torch.tensor([int(request) in gold for request in batch.read_request])
    signs, first = _signs(scorer, batch, asked, site)
    made = []
    for number in range(len(batch.input_ids)):
        request = int(batch.read_request[batch.read_row == number][0])
        own = signs.get(number)
        if own is not None:
            own[first[number] + 1 :] = 0
        ids = tuple(batch.input_ids[number][batch.mask[number]].tolist())
        made.append(_Row(question=owner[request], ids=ids, signs=own))
    return made


def _signs(scorer: Scorer, batch: Batch, asked: Tensor, site: str) -> tuple[dict[int, Tensor], dict[int, int]]:
    """For the rows that a gold answer is read from: their signs, and the first position that is read."""
    if not bool(asked.any()):
        return {}, {}
    kept, place = torch.unique(batch.read_row[asked], return_inverse=True)
    positions, targets = batch.read_position[asked], batch.read_target[asked]
    inputs = {"input_ids": batch.input_ids[kept], "use_cache": False}
    with reading(scorer.model, place, positions):
        signs = gradient_signs(scorer.model, inputs, targets[None], site)
    first = {int(row): int(positions[place == number].min()) for number, row in enumerate(kept)}
    return {int(row): signs[number] for number, row in enumerate(kept)}, first


def _shared(rows: list[_Row]) -> Int[Tensor, "row position width"]:
    """Every row's signs: its question's, as far as it begins with the same tokens as the gold row."""
    gold = {row.question: row for row in rows if row.signs is not None}
    width = next(signs.shape[1] for row in rows if (signs := row.signs) is not None)
    table = torch.zeros(len(rows), max(len(row.ids) for row in rows), width, dtype=torch.int8)
    for number, row in enumerate(rows):
        source = gold[row.question]
        assert source.signs is not None
        kept = min(_common(row.ids, source.ids), len(source.signs))
        table[number, :kept] = source.signs[:kept]
    return table


def _common(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """How many tokens two rows begin with in common."""
    differ = (place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    return next(differ, min(len(first), len(second)))
