"""Attribution as content-addressed steps: influence of a run's training rows on a head, and the rows it ranks highest."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy.stats import rankdata

from imprint.attribution.baselines import bm25_scores, embedding_scores, ngram_scores, random_scores
from imprint.attribution.ekfac import EkfacOptions
from imprint.attribution.influence import influence
from imprint.attribution.queries import Query, induction_queries, off_by_one_query, previous_token_query
from imprint.attribution.scores import Scores
from imprint.attribution.subspace import HeadParts, head_subspace
from imprint.corpus import Packed
from imprint.errors import ConfigError
from imprint.interventions import ROWS_FILE
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Train, open_checkpoint
from imprint.runs import Context, Step, derive
from imprint.stats.samples import top_count

CONSENSUS = "consensus"
"""Mean rank over the three induction probes: the ranking that no single probe's weakness decides."""
PROBES = ("log_prob", "contrastive", "attention")
BASELINES = ("random", "loss", "gradient norm", "repeated bigrams", "BM25", "embedding")
"""Rows of `baselines.npy`."""


class Attribution(Step):
    """EK-FAC influence of every row on one head of one checkpoint, with every cheap baseline beside it."""

    run: Train
    step: int
    packed: Step
    head: str
    parts: HeadParts = "qkvo"
    probe: ProbeOptions = ProbeOptions()
    options: EkfacOptions = EkfacOptions()
    mechanism: Literal["induction", "previous_token"] = "induction"
    mutant: bool = False
    """Also score with the published off-by-one probe, which must fail (calibration only)."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Score, check and save: `scores.npy`, `token_scores.npy`, `scores.json`, `losses.npy`, `baselines.npy`."""
        torch.set_num_threads(1)
        packed = Packed.load(context.get(self.packed))
        model = open_checkpoint(context.get(self.run), self.step)
        tokens, lengths = torch.from_numpy(packed.tokens), torch.from_numpy(packed.lengths.astype(np.int64))
        probe = self.probe.build(packed.context)[0]
        scores, collected = influence(
            model,
            head_subspace(model, self.head, self.parts),
            self._queries(packed.context),
            tokens,
            lengths,
            self.options,
            seed=derive(self.seed, "labels"),
            advance=context.advance,
        )
        scores.save(folder)
        losses = collected.row_losses().double().numpy()
        np.save(folder / "losses.npy", losses)
        baselines = (
            random_scores(len(packed), seed=derive(self.seed, "random")),
            losses,
            collected.gradient_norms().double().numpy(),
            ngram_scores(packed),
            bm25_scores(packed, probe.tokens),
            embedding_scores(model, packed, probe.tokens),
        )
        np.save(folder / "baselines.npy", np.stack(baselines))

    def _queries(self, context: int) -> list[Query]:
        probe = self.probe.build(context)[0]
        if self.mechanism == "previous_token":
            return [previous_token_query(probe, self.head)]
        mutants = [off_by_one_query(probe)] if self.mutant else []
        return [*induction_queries(probe, self.head), *mutants]


def load_baselines(folder: Path) -> dict[str, np.ndarray]:
    """The baseline scores of every row, by name."""
    return dict(zip(BASELINES, np.load(folder / "baselines.npy"), strict=True))


def consensus(scores: Scores) -> np.ndarray:
    """The mean over the three probes of each row's rank, divided by the number of rows (1 = top under all three)."""
    ranks = [rankdata(scores.of(name)) for name in PROBES if name in scores.queries]
    if not ranks:
        raise ConfigError(f"scores of {scores.queries} hold none of the induction probes, so there is no consensus")
    return np.asarray(np.mean(ranks, axis=0) / scores.rows.shape[1])


def ranking(folder: Path, name: str) -> np.ndarray:
    """One score a row by name: a query, `<query>/dot`, "consensus" or a baseline."""
    scores = Scores.load(folder)
    if name == CONSENSUS:
        return consensus(scores)
    if name in scores.queries:
        return scores.of(name)
    if name in BASELINES:
        return load_baselines(folder)[name]
    known = ", ".join([CONSENSUS, *scores.queries, *BASELINES])
    raise ConfigError(f"no ranking is called '{name}'; choose one of {known}")


class TopRows(Step):
    """The rows with the highest score under one ranking, optionally only outside some domains."""

    attribution: Attribution
    ranking: str = CONSENSUS
    fraction: float = Field(default=0.1, gt=0, lt=1)
    """Of all rows, also when domains are left out, so that arms have the same size."""
    without_domains: tuple[str, ...] = ()

    def execute(self, folder: Path, context: Context) -> None:
        """Choose and save the rows."""
        scored = context.get(self.attribution)
        packed = Packed.load(context.get(self.attribution.packed))
        values = ranking(scored, self.ranking)
        allowed = np.flatnonzero(~np.isin(packed.row_domains, self.without_domains))
        count = top_count(len(packed), self.fraction)
        if len(allowed) < count:
            raise ConfigError(
                f"only {len(allowed)} rows are left outside {self.without_domains}, {count} are asked for"
            )
        order = allowed[np.argsort(-values[allowed], kind="stable")]
        np.save(folder / ROWS_FILE, np.sort(order[:count]))
