"""Every item of every ability under a perturbation of one cluster and under its matched control, dose by dose."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from imprint.capabilities import EvaluateModel, Scorer, gold_signs
from imprint.errors import ConfigError
from imprint.interventions.activations import Intervention, Noise, entry_layer, idle_expected
from imprint.runs import Context, Step, atomic_file, derive, write_json
from imprint.studies.perturbation.config import Family
from imprint.studies.perturbation.families import TokenTable, family_seed, matched_control, perturbation
from imprint.studies.perturbation.session import Session, behind_the_first, session
from imprint.studies.perturbation.space import ClusterSpace, Space

ITEMS_FILE = "perturbed.parquet"
FACTS_FILE = "perturbed.json"
BASE, TARGET, CONTROL = "base", "target", "control"
KEPT = ("suite", "task", "item", "group", "correct", "log_prob", "chance", "margin")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Arm:
    """An intervention at dose 1 under its name; its dose is `ratio` times that of the target."""

    name: str
    intervention: Intervention
    draw: int = 0
    ratio: float = 1.0
    matched: str = ""


class PerturbedItems(Step):
    """Items under one family of perturbation of one cluster at every dose, and under draws of its control at some.

    Columns of `perturbed.parquet`: arm, draw, dose, suite, task, item, group, correct, log_prob, chance, margin (log-probability
    of the gold answer among the options, nats). The unperturbed base is scored in the same batches. The first token of a
    row, where most models keep their attention sink, is never edited.
    """

    evaluation: EvaluateModel
    space: ClusterSpace
    cluster: str | None
    """None: noise in every dimension of every token, the reference that no cluster is special in (no control)."""
    family: Family
    doses: tuple[float, ...] = Field(min_length=1)
    control_draws: int = Field(default=4, ge=1)
    token_share: float = Field(default=0.25, gt=0, lt=1)
    """Gradient-sign injection reaches this share of the tokens: those most typical of the cluster."""
    seed: int = 0

    @property
    def compared(self) -> tuple[float, ...]:
        """The doses at which controls are drawn: the middle and the largest."""
        if self.cluster is None:
            return ()
        return tuple(dict.fromkeys((self.doses[(len(self.doses) - 1) // 2], self.doses[-1])))

    @property
    def passes(self) -> int:
        """How many times the items are scored, the base included."""
        return 1 + len(self.doses) + len(self.compared) * self.control_draws

    @idle_expected()
    def execute(self, folder: Path, context: Context) -> None:
        """Score everything and write items and facts."""
        open_, space = session(self.evaluation, context), Space.load(context.get(self.space))
        scorer = open_.scorer(entry_layer(open_.model, [_anywhere(space)]))
        frames = [items(open_, scorer, (), BASE, 0.0)]
        context.advance(1)
        arms = self._arms(space, open_, scorer)
        if not arms:
            context.warn(f"nothing of {space.site} belongs to cluster '{self.cluster}', so {self.family} was not tried")
            context.advance(self.passes - 1)
        for arm in arms:
            for dose in self.doses if arm.name == TARGET else self.compared:
                acting = arm.intervention.at(dose * arm.ratio)
                frames.append(items(open_, scorer, (acting,), arm.name, dose, draw=arm.draw))
                context.advance(1)
        with atomic_file(folder / ITEMS_FILE) as partial:
            pl.concat(frames).write_parquet(partial)
        matched = "; ".join(arm.matched for arm in arms if arm.matched)
        write_json(folder / FACTS_FILE, {"tried": bool(arms), "matched": matched})

    def _arms(self, space: Space, open_: Session, scorer: Scorer) -> "list[Arm]":
        """The perturbation and the draws of its control; none if nothing belongs to the cluster."""
        editable = open_.editable(scorer)
        if self.cluster is None:
            noise = Noise(seed=self.seed, rms=space.rms, row_ids=open_.questions_of_rows(scorer))
            return [Arm(name=TARGET, intervention=Intervention(site=space.site, edit=noise, tokens=editable))]
        seed = family_seed(self.seed, self.cluster, self.family)
        tokens = self._tokens(space, open_, scorer) if self.family == "sign" else None
        rows = open_.questions_of_rows(scorer) if self.family == "noise" else None
        made = perturbation(space, self.cluster, self.family, seed=seed, tokens=tokens, row_ids=rows)
        if made is None:
            return []
        target = made if self.family == "sign" else replace(made, tokens=editable)
        drawn = [
            matched_control(target, space, seed=seed + 1 + draw, tokens=tokens) for draw in range(self.control_draws)
        ]
        controls = [
            Arm(name=CONTROL, draw=draw, intervention=one.intervention, ratio=one.ratio, matched=one.words)
            for draw, one in enumerate(drawn)
        ]
        return [Arm(name=TARGET, intervention=target), *controls]

    def _tokens(self, space: Space, open_: Session, scorer: Scorer) -> TokenTable:
        assert self.cluster is not None
        signs = gold_signs(open_.bench, scorer, space.site)
        candidates = behind_the_first((signs != 0).any(2))
        members = typical_tokens(scorer, space, self.cluster, self.token_share, candidates)
        return TokenTable(signs=signs, members=members, candidates=candidates)


class PerturbedTokens(Step):
    """Mean ablation of R_k on growing shares of the tokens, most typical of the cluster first, against as many random ones.

    The columns are those of `PerturbedItems`; the dose is the share.
    """

    evaluation: EvaluateModel
    space: ClusterSpace
    cluster: str
    shares: tuple[float, ...] = Field(min_length=1)
    seed: int = 0

    @property
    def passes(self) -> int:
        """How many times the items are scored, the base included."""
        return 1 + 2 * len(self.shares)

    @idle_expected()
    def execute(self, folder: Path, context: Context) -> None:
        """Score everything and write the items."""
        open_, space = session(self.evaluation, context), Space.load(context.get(self.space))
        scorer = open_.scorer(entry_layer(open_.model, [_anywhere(space)]))
        frames = [items(open_, scorer, (), BASE, 0.0)]
        whole = perturbation(space, self.cluster, "ablation", seed=self.seed)
        real = scorer.token_mask(lambda view: behind_the_first(view.mask))
        for share in self.shares if whole is not None else ():
            assert whole is not None
            chosen = typical_tokens(scorer, space, self.cluster, share, real)
            drawn = random_mask(real, int(chosen.sum()), seed=derive(self.seed, self.cluster, str(share)) % 2**31)
            for arm, mask in ((TARGET, chosen), (CONTROL, drawn)):
                acting = Intervention(site=whole.site, edit=whole.edit, tokens=mask)
                frames.append(items(open_, scorer, (acting,), arm, share))
        context.advance(self.passes)
        with atomic_file(folder / ITEMS_FILE) as partial:
            pl.concat(frames).write_parquet(partial)


def items(
    open_: Session, scorer: Scorer, acting: tuple[Intervention, ...], arm: str, dose: float, *, draw: int = 0
) -> pl.DataFrame:
    """The items of the bench under some interventions, with the columns that are kept."""
    scored = open_.bench.items(scorer.score(acting))
    if scored["correct"].null_count():
        suite = scored.filter(pl.col("correct").is_null())["suite"][0]
        raise ConfigError(
            f"suite '{suite}' has no right and wrong answers, so no harm can be measured on it; leave it out"
        )
    margin = [_margin(*row) for row in scored.select("log_prob", "num_tokens", "options").iter_rows()]
    kept = scored.with_columns(pl.Series("margin", margin, dtype=pl.Float64)).select(KEPT)
    return kept.select(pl.lit(arm).alias("arm"), pl.lit(draw).alias("draw"), pl.lit(dose).alias("dose"), pl.all())


def _margin(log_prob: float, num_tokens: int, options: list[float] | None) -> float:
    """The log-probability of the gold answer among the options; where there are none, that of the answer a token."""
    return log_prob / max(num_tokens, 1) if options is None else float(log_prob - np.logaddexp.reduce(options))


def _anywhere(space: Space) -> Intervention:
    """Noise in every dimension: as an intervention it begins where any other of the site begins."""
    return Intervention(site=space.site, edit=Noise(seed=0, rms=space.rms))


def typical_tokens(
    scorer: Scorer, space: Space, cluster: str, share: float, candidates: Bool[Tensor, "row position"]
) -> Bool[Tensor, "row position"]:
    """The share of the candidate tokens that is most typical of a cluster, at least one."""
    scores = torch.full(candidates.shape, -torch.inf, dtype=torch.float64)
    for view in scorer.views():
        assert view.states is not None
        states = view.states.float().flatten(0, 1).numpy()
        values = torch.from_numpy(space.typicality(states)[:, space.index(cluster)])
        scores[view.rows, : view.input_ids.shape[1]] = values.view(view.input_ids.shape)
    scores[~candidates] = -torch.inf
    wanted = max(1, round(share * int(candidates.sum())))
    chosen = torch.zeros(candidates.numel(), dtype=torch.bool)
    chosen[scores.flatten().argsort(descending=True, stable=True)[:wanted]] = True
    return chosen.view(candidates.shape) & candidates


def random_mask(candidates: Bool[Tensor, "row position"], count: int, *, seed: int) -> Bool[Tensor, "row position"]:
    """As many random tokens among the candidates."""
    places = candidates.flatten().nonzero()[:, 0]
    drawn = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:count]]
    chosen = torch.zeros(candidates.numel(), dtype=torch.bool)
    chosen[drawn] = True
    return chosen.view(candidates.shape)
