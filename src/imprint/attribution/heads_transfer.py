"""Every row scored on every head, each head by its own part of the probe's gradient, in one pass over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from transformers import PreTrainedModel

from imprint.attribution.alignment import PREVIOUS_TOKEN_HEAD, check_alignment, reference_probe
from imprint.attribution.engine.ekfac import EkfacOptions
from imprint.attribution.engine.influence import influence
from imprint.attribution.engine.queries import Query, contrastive_query, log_prob_query, previous_token_query
from imprint.attribution.engine.scores import SIGN
from imprint.attribution.engine.selections import head_subspaces
from imprint.attribution.engine.subspace import Subspace
from imprint.attribution.head import check_fit
from imprint.capabilities import RepeatProbe
from imprint.corpus import Packed
from imprint.errors import ConfigError
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Anatomy, Train, open_checkpoint
from imprint.runs import Context, Step, derive, read_json, write_json
from imprint.types import Advance, no_progress

SCORES_FILE, WORDS_FILE = "head_scores.npy", "head_scores.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadScores:
    """Influence of every row on every head by query; positive = training on the row raises the query through that head.

    Trust: as `Scores`. One head's scores are those that `attribute_head` gives for it alone.
    """

    lines: tuple[tuple[str, str], ...]
    """(head, query) of each line of `rows`."""
    rows: Float64[np.ndarray, "line row"]
    checks: dict[str, float]
    """Self-checks that the passes passed, by name."""

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries, in order of appearance."""
        return tuple(dict.fromkeys(query for _, query in self.lines))

    def of(self, query: str) -> dict[str, Float64[np.ndarray, " row"]]:
        """The scores of every head that was asked about by one query; ConfigError names the known ones if there is none."""
        if query not in self.queries:
            raise ConfigError(f"no query is called '{query}'; choose one of {', '.join(self.queries)}")
        return {head: self.rows[place] for place, (head, name) in enumerate(self.lines) if name == query}

    def save(self, folder: Path) -> None:
        """Write `head_scores.npy` and `head_scores.json`."""
        np.save(folder / SCORES_FILE, self.rows)
        write_json(
            folder / WORDS_FILE, {"lines": [list(line) for line in self.lines], "checks": self.checks, "sign": SIGN}
        )

    @staticmethod
    def load(folder: Path) -> "HeadScores":
        """Read what `save` wrote; scores are memory-mapped."""
        words = read_json(folder / WORDS_FILE)
        return HeadScores(
            lines=tuple((head, query) for head, query in words["lines"]),
            rows=np.load(folder / SCORES_FILE, mmap_mode="r"),
            checks=words["checks"],
        )


def attribute_heads(
    model: PreTrainedModel,
    packed: Packed,
    probe: RepeatProbe,
    *,
    heads: Sequence[str] = (),
    previous_token: Sequence[str] = (),
    options: EkfacOptions = EkfacOptions(),  # noqa: B008 - frozen
    seed: int = 0,
    advance: Advance = no_progress,
) -> HeadScores:
    """EK-FAC influence of every row on every head (by default all): `log_prob` and `contrastive` on each head's matrices.

    The heads in `previous_token` are asked about their attention to the position before as well, on their queries and
    keys, in a second pass. Raises as `attribute_head` does.
    """
    check_fit(model, packed)
    chosen = [str(Anatomy(model).find(head)) for head in heads or map(str, Anatomy(model).heads())]
    small = reference_probe(bos=probe.tokens.shape[1] > 2 * probe.period)
    checks = check_alignment([log_prob_query(small), contrastive_query(small)], small)
    asked = [log_prob_query(probe), contrastive_query(probe)]
    by_head, found = _by_head(model, head_subspaces(model, heads=chosen), asked, packed, options, seed, advance)
    lines = [(head, query.name) for query in asked for head in chosen]
    rows = [by_head[number, chosen.index(head)] for number in range(len(asked)) for head in chosen]
    checks |= found
    if previous_token:
        checks |= check_alignment([previous_token_query(small, PREVIOUS_TOKEN_HEAD)], small)
        early = list(dict.fromkeys(str(Anatomy(model).find(head)) for head in previous_token))
        own = [replace(previous_token_query(probe, head), name=f"previous_token/{head}") for head in early]
        subspace = head_subspaces(model, heads=early, parts="qk")
        by_head, found = _by_head(model, subspace, own, packed, options, seed, advance)
        lines += [(head, "previous_token") for head in early]
        rows += [by_head[number, number] for number in range(len(early))]
        checks |= {f"previous_token/{name}": value for name, value in found.items()}
    return HeadScores(lines=tuple(lines), rows=np.stack(rows), checks=checks)


def _by_head(
    model: PreTrainedModel,
    subspace: Subspace,
    queries: Sequence[Query],
    packed: Packed,
    options: EkfacOptions,
    seed: int,
    advance: Advance,
) -> tuple[Float64[np.ndarray, "query head row"], dict[str, float]]:
    scores, _ = influence(
        model,
        subspace,
        queries,
        torch.from_numpy(packed.tokens),
        torch.from_numpy(packed.lengths.astype(np.int64)),
        options,
        seed=derive(seed, "labels"),
        by_token=False,
        plain=False,
        norms=False,
        advance=advance,
    )
    assert scores.by_group is not None
    return np.asarray(scores.by_group, dtype=np.float64), scores.checks


class HeadsTransfer(Step):
    """The scores of every row on every head of a run's checkpoint (see `attribute_heads` and `HeadScores`)."""

    run: Train
    step: int
    packed: Step
    heads: tuple[str, ...] = ()
    """By default all."""
    previous_token: tuple[str, ...] = ()
    """Heads that are asked about their attention to the position before as well."""
    probe: ProbeOptions = ProbeOptions()
    options: EkfacOptions = EkfacOptions()
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Score, check and save."""
        torch.set_num_threads(1)
        packed = Packed.load(context.get(self.packed))
        attribute_heads(
            open_checkpoint(context.get(self.run), self.step),
            packed,
            self.probe.build(packed.context)[0],
            heads=self.heads,
            previous_token=self.previous_token,
            options=self.options,
            seed=self.seed,
            advance=context.advance,
        ).save(folder)
