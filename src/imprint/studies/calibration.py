"""The trust scorecard: every method on planted worlds whose truth is known, each beside what must fail."""

from dataclasses import dataclass, field
from pathlib import Path

from imprint.runs import Executor, Reporter, Store, silent
from imprint.studies.abilities_scorecard import abilities_scorecard
from imprint.studies.ability_training import AbilityTraining
from imprint.studies.attribution_retrainings import Laboratory, RetrainingPlan
from imprint.studies.attribution_scorecard import attribution_scorecard
from imprint.studies.attribution_world import NaturalWorld
from imprint.studies.exact_answers import exact_rows
from imprint.studies.planted_graphs import GraphWorldSizes, graph_world_rows
from imprint.studies.planted_pipelines import PipelineSizes
from imprint.studies.planted_ranking import ranking_rows
from imprint.studies.planted_retraining import retraining_rows
from imprint.studies.planted_susceptibility import susceptibility_rows
from imprint.studies.planted_training import PlantedTraining
from imprint.studies.scorecard import Scorecard


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationOptions:
    """How long and how often the worlds are trained; the defaults are those of the gates."""

    ranking_steps: int = 1500
    ranking_checkpoint_every: int = 25
    ranking_seeds: int = 2
    scored_rows: int = 800
    retraining: bool = True
    retraining_steps: int = 1400
    retraining_checkpoint_every: int = 50
    retraining_seeds: int = 5
    abilities: bool = True
    ability_steps: int = 2000
    ability_checkpoint_every: int = 250
    ability_seeds: int = 2
    ability_items: int = 200
    attribution: bool = True
    attribution_world: NaturalWorld = field(default_factory=NaturalWorld)
    attribution_plan: RetrainingPlan = field(default_factory=RetrainingPlan)
    susceptibility: bool = True
    pipelines: PipelineSizes = field(default_factory=PipelineSizes)
    graphs: bool = True
    """Needs torch-geometric."""
    graph_seeds: tuple[int, ...] = (0, 1, 2)
    graph_worlds: GraphWorldSizes = field(default_factory=GraphWorldSizes)


def calibrate(out: Path, options: CalibrationOptions, *, executor: Executor, reporter: Reporter = silent) -> Scorecard:
    """Every row of the scorecard; resumable like a study.

    Exact answers (AT-MDA-1 to 3, AT-IH-1), rankings in the world with hard negatives (AT-MDA-4), retraining without the
    planted cause against as many random rows (AT-MDA-5), four abilities with four causes (AT-E2E), every attribution
    method against retraining on natural text (AT-IF-2 to 8), the susceptibility study where the explanation is known, and the
    graph network where only the graph says what an ability needs, and where the loss says it all (AT-EM-1, 2, 6).

    Raises:
        ConfigError: graph worlds are asked for and torch-geometric is not installed.
    """
    store = Store(out / "store")
    with reporter.stage("exact answers", 1) as advance:
        rows = exact_rows()
        advance(1)
    hard = PlantedTraining.of(
        "hard-negatives", steps=options.ranking_steps, checkpoint_every=options.ranking_checkpoint_every
    )
    rows += ranking_rows(hard, options.ranking_seeds, options.scored_rows, store, executor, reporter)
    if options.retraining:
        plain = PlantedTraining.of(
            "ord2", steps=options.retraining_steps, checkpoint_every=options.retraining_checkpoint_every
        )
        rows += retraining_rows(plain, options.retraining_seeds, store, executor, reporter)
    parts = [Scorecard(rows=tuple(rows))]
    if options.abilities:
        training = AbilityTraining(
            steps=options.ability_steps, checkpoint_every=options.ability_checkpoint_every, items=options.ability_items
        )
        parts.append(abilities_scorecard(training, options.ability_seeds, store, executor, reporter))
    if options.attribution:
        lab = Laboratory(
            world=options.attribution_world,
            plan=options.attribution_plan,
            store=store,
            executor=executor,
            reporter=reporter,
        )
        parts.append(attribution_scorecard(lab))
    if options.susceptibility:
        found = susceptibility_rows(options.pipelines, out / "susceptibility", executor, reporter)
        parts.append(Scorecard(rows=tuple(found)))
    if options.graphs:
        found = graph_world_rows(options.graph_seeds, options.graph_worlds, reporter=reporter)
        parts.append(Scorecard(rows=tuple(found)))
    return Scorecard(
        rows=tuple(row for part in parts for row in part.rows),
        overviews=tuple(overview for part in parts for overview in part.overviews),
    )
