"""The trust scorecard: every method on planted worlds whose truth is known, each beside what must fail."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from imprint.attribution import CONSENSUS, Attribution, ranking
from imprint.corpus import (
    BOILERPLATE,
    NOISE,
    NOVEL_REPEATS,
    Packed,
    PlantedWorld,
    ShuffledStream,
    WorldRows,
    planted_world,
)
from imprint.emergence import onset
from imprint.interventions import EditedStream
from imprint.mechanisms import HEADS_FILE, TRAJECTORY_FILE, ProbeOptions, Trajectory
from imprint.models import Architecture, Optimisation, Train
from imprint.runs import Executor, Reporter, Step, Store, silent
from imprint.stats import auc, paired_difference, paired_permutation, top_purity
from imprint.studies.comparison import COPYING, STRENGTH
from imprint.studies.config import default_architecture
from imprint.studies.exact_answers import exact_rows
from imprint.studies.planted_rows import KindRows, RandomRows

GATE = 0.9
"""AUC that a right method must reach against every hard negative, and that each wrong one must miss somewhere."""
RIGHT = (CONSENSUS, "log_prob", "contrastive", "attention")
WRONG = ("off_by_one", "log_prob/dot", "loss", "repeated bigrams")
OTHER = ("gradient norm", "embedding", "BM25", "random")
STRENGTH_TARGET = 0.15
"""Prefix matching at the checkpoint where influence is taken: early inside the transition (.08 to .4)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the scorecard."""

    world: str
    method: str
    question: str
    metric: str
    value: float
    gate: str
    """The bar in words, such as ">= 0.9"; empty when the row is reported without one."""
    passed: bool | None

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationOptions:
    """How long and how often the worlds are trained; the defaults are those of the gates."""

    steps: int = 1500
    batch: int = 64
    checkpoint_every: int = 25
    scored_rows: int = 800
    seeds: int = 5
    attribution_seeds: int = 2
    retraining: bool = True


def calibrate(out: Path, options: CalibrationOptions, *, executor: Executor, reporter: Reporter = silent) -> list[Row]:
    """Every row of the scorecard; resumable like a study.

    Exact answers (hand-built model, closed forms), rankings in the world with hard negatives (AT-MDA-4), and retraining
    without the planted cause against as many random rows (AT-MDA-5).
    """
    store = Store(out / "store")
    world = _World.hard_negatives(options)
    with reporter.stage("exact answers", 1) as advance:
        rows = exact_rows(Row)
        advance(1)
    runs = [world.run(seed) for seed in range(options.seeds if options.retraining else options.attribution_seeds)]
    measured = [world.measured(run) for run in runs]
    executor.run(runs, store, progress=reporter, stage="planted world: train", units=sum(run.updates for run in runs))
    checkpoints = sum(len(run.checkpoints) for run in runs)
    folders = executor.run(measured, store, progress=reporter, stage="planted world: measure", units=checkpoints)
    for run, folder in list(zip(runs, folders, strict=True))[: options.attribution_seeds]:
        with reporter.stage(f"planted world: attribute, seed {run.seed}", None) as advance:
            rows += _ranking_rows(world, run, folder, store)
            advance(1)
    if options.retraining:
        rows += _retraining_rows(world, runs, folders, store, executor, reporter)
    return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class _World:
    """The world's corpora and how a model is trained in it."""

    world: PlantedWorld
    options: CalibrationOptions
    name: str = "hard negatives"

    @staticmethod
    def hard_negatives(options: CalibrationOptions) -> "_World":
        world = planted_world("hard-negatives", seed=0).model_copy(update={"bos": True})
        return _World(world=world, options=options)

    @property
    def training(self) -> WorldRows:
        return WorldRows(world=self.world, rows=self.options.steps * self.options.batch, seed=1)

    @property
    def scored(self) -> WorldRows:
        return WorldRows(world=self.world, rows=self.options.scored_rows, seed=1234)

    @property
    def probe(self) -> ProbeOptions:
        return ProbeOptions(alphabet=tuple(range(1, self.world.vocabulary + 1)))

    def run(self, seed: int) -> Train:
        config = {**default_architecture().config, "vocab_size": self.world.token_ids}
        options = self.options
        return Train(
            architecture=Architecture(model_type="gpt2", config=config),
            optimisation=Optimisation(),
            packed=self.training,
            stream=ShuffledStream(packed=self.training, steps=options.steps, batch=options.batch, seed=seed),
            seed=seed,
            checkpoint_every=options.checkpoint_every,
            last_step=options.steps,
        )

    def measured(self, run: Train) -> Trajectory:
        return Trajectory(run=run, heldout=WorldRows(world=self.world, rows=256, seed=99), probe=self.probe)


def _ranking_rows(world: _World, run: Train, folder: Path, store: Store) -> list[Row]:
    step, head = _early_transition(folder)
    attribution = Attribution(run=run, step=step, packed=world.scored, head=head, probe=world.probe, mutant=True)
    scored = store.get(attribution)
    domains = Packed.load(store.get(world.scored)).row_domains
    cause = domains == NOVEL_REPEATS
    rows = []
    for method in (*RIGHT, *WRONG, *OTHER):
        values = ranking(scored, method)
        against = {kind: _auc_against(values, cause, domains == kind) for kind in (NOISE, BOILERPLATE)}
        place = f"{head} of seed {run.seed} at step {step}"
        for kind, value in against.items():
            rows.append(_row(world, method, f"cause against {kind}, {place}", "AUC", value, "", None))
        worst = min(against.values())
        question = f"cause against both hard negatives, {place}"
        if method in RIGHT[:2]:
            rows.append(_row(world, method, question, "lowest AUC", worst, f">= {GATE}", worst >= GATE))
        elif method in WRONG:
            rows.append(_row(world, method, question, "lowest AUC", worst, f"< {GATE}", worst < GATE))
        else:
            rows.append(_row(world, method, question, "lowest AUC", worst, "", None))
    purity = top_purity(ranking(scored, CONSENSUS), cause, 0.1)
    rows.append(_row(world, CONSENSUS, f"top decile is the cause, {place}", "purity", purity, ">= 1.0", purity == 1.0))
    shuffled = np.random.default_rng(0).permutation(cause)
    null = auc(ranking(scored, CONSENSUS), shuffled)
    margin = 4 * (1 / (12 * cause.sum()) + 1 / (12 * (~cause).sum())) ** 0.5
    rows.append(
        _row(world, CONSENSUS, "null: shuffled labels", "AUC", null, f"0.5 ± {margin:.2f}", abs(null - 0.5) < margin)
    )
    return rows


def _auc_against(values: np.ndarray, cause: np.ndarray, negative: np.ndarray) -> float:
    kept = cause | negative
    return auc(values[kept], cause[kept])


def _early_transition(folder: Path) -> tuple[int, str]:
    """The checkpoint whose strength is nearest to the target on a log scale, and the strongest head at the end."""
    curve = _curve(folder, STRENGTH)
    steps, strength = curve["step"].to_numpy(), curve["value"].to_numpy()
    before = slice(0, int(strength.argmax()) + 1)
    step = int(steps[before][np.abs(np.log(np.maximum(strength[before], 1e-6) / STRENGTH_TARGET)).argmin()])
    heads = pl.read_parquet(folder / HEADS_FILE).filter(pl.col("layer") > 0)
    last = heads.filter(pl.col("step") == heads["step"].max()).sort(STRENGTH, descending=True).row(0, named=True)
    return step, f"L{last['layer']}.H{last['head']}"


def _curve(folder: Path, metric: str) -> pl.DataFrame:
    return pl.read_parquet(folder / TRAJECTORY_FILE).filter(pl.col("metric") == metric).sort("step")


def _retraining_rows(
    world: _World,
    runs: Sequence[Train],
    folders: Sequence[Path],
    store: Store,
    executor: Executor,
    reporter: Reporter,
) -> list[Row]:
    """AT-MDA-5: delete the cause (and as many random rows) from 40 % of the way to emergence on, all seeds."""
    kept = [_log_onset(folder, folder, world) for folder in folders]
    every = world.options.checkpoint_every
    first = max(every, int(0.4 * float(np.exp(min(kept)))) // every * every)
    cause = KindRows(packed=world.training, kind=NOVEL_REPEATS)
    chosen = {
        "delete the cause": cause,
        "delete as many random rows": RandomRows(packed=world.training, like=cause, seed=0),
    }
    arms = {name: [_branch(run, rows, first) for run in runs] for name, rows in chosen.items()}
    flat = [run for trained in arms.values() for run in trained]
    executor.run(flat, store, progress=reporter, stage="planted world: retrain", units=sum(run.updates for run in flat))
    measured = [world.measured(run) for run in flat]
    checkpoints = sum(len(run.checkpoints) for run in flat)
    found = executor.run(measured, store, progress=reporter, stage="planted world: measure arms", units=checkpoints)
    rows = []
    for number, name in enumerate(arms):
        mine = found[number * len(runs) : (number + 1) * len(runs)]
        rows += _arm_rows(world, name, np.array(kept), mine, folders)
    return rows


def _branch(run: Train, rows: Step, first: int) -> Train:
    edited = EditedStream(base=run.stream, rows=rows, kind="delete", first=first, last=run.last_step, seed=run.seed)
    return run.model_copy(update={"stream": edited, "trunk": run, "first_step": first, "keep_moments": False})


def _arm_rows(
    world: _World, name: str, kept: np.ndarray, folders: Sequence[Path], references: Sequence[Path]
) -> list[Row]:
    shifts = np.array([_log_onset(mine, theirs, world) for mine, theirs in zip(folders, references, strict=True)])
    effect = paired_difference(shifts, kept, seed=0, unit="pipeline seed", control_name="untouched", metric="onset")
    final = float(np.mean([_curve(folder, STRENGTH)["value"][-1] for folder in folders]))
    ratio = float(np.expm1(effect.estimate))
    cause = name == "delete the cause"
    passed = (ratio >= 0.3 or final < 0.1) if cause else abs(ratio) < 0.15
    gate = ">= 0.3, or final strength < 0.1" if cause else "within ± 0.15"
    interval = f"[{np.expm1(effect.low):+.2f}, {np.expm1(effect.high):+.2f}]"
    question = f"shift of emergence over {effect.n} seeds {interval}"
    p = paired_permutation(shifts, kept, seed=0, alternative="greater")
    return [
        _row(world, name, question, "relative delay", ratio, gate, passed),
        _row(world, name, "final prefix matching, mean over seeds", "attention", final, "", None),
        _row(world, name, "delay against the untouched runs, one-sided", "permutation p", p, "", None),
    ]


def _log_onset(folder: Path, reference: Path, world: _World) -> float:
    strength, copying = _curve(folder, STRENGTH), _curve(folder, COPYING)
    found = onset(
        strength["step"].to_list(),
        strength["value"].to_list(),
        copying["value"].to_list(),
        threshold=0.5 * float(np.max(_curve(reference, STRENGTH)["value"].to_numpy())),
        chance=1 / world.world.vocabulary,
        items=world.probe.rows * (world.world.context // 2 - 1),
    )
    return float(np.log(found.step))


def _row(world: _World, method: str, question: str, metric: str, value: float, gate: str, passed: bool | None) -> Row:
    return Row(
        world=world.name,
        method=method,
        question=question,
        metric=metric,
        value=float(value),
        gate=gate,
        passed=None if passed is None else bool(passed),
    )
