"""From the trajectories of all runs to what the graph is tested on and what the predictor and the allocation learn from."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from imprint.emergence.graph import CONTROL, Observations
from imprint.runs import Executor, Reporter, Store
from imprint.studies.emergence.config import EmergenceStudy
from imprint.studies.emergence.measured import TRAJECTORY_FILE, MeasureRun
from imprint.studies.emergence.runs import Run, setting

HISTORY_FILE = "history.parquet"
SOURCE = "imprint"
UNTRAINED = 0


def measure_runs(
    study: EmergenceStudy, runs: Sequence[Run], store: Store, executor: Executor, reporter: Reporter, *, stage: str
) -> pl.DataFrame:
    """Train and measure runs: scale, params, arm, seed, step, tokens, node, kind, value, chance, n, log_prob."""
    trains = [run.train for run in runs]
    executor.run(trains, store, progress=reporter, stage=stage, units=sum(train.updates for train in trains))
    steps = [_measurement(study, run) for run in runs]
    checkpoints = sum(len(run.train.checkpoints) for run in runs)
    folders = executor.run(steps, store, progress=reporter, stage=f"measure: {stage}", units=checkpoints)
    return pl.concat([_placed(study, run, folder) for run, folder in zip(runs, folders, strict=True)])


def _measurement(study: EmergenceStudy, run: Run) -> MeasureRun:
    return MeasureRun(
        run=run.train,
        world=study.world,
        items=study.measuring.items,
        rows=study.measuring.rows,
        abilities=study.abilities,
        dynamics=study.dynamics,
    )


def _placed(study: EmergenceStudy, run: Run, folder: Path) -> pl.DataFrame:
    per_step = study.training.batch * study.world.context
    return pl.read_parquet(folder / TRAJECTORY_FILE).with_columns(
        scale=pl.lit(run.scale.name),
        params=pl.lit(float(run.params)),
        arm=pl.lit(run.arm),
        seed=pl.lit(run.seed),
        tokens=(pl.col("step") * per_step).cast(pl.Float64),
    )


def observations(study: EmergenceStudy, table: pl.DataFrame) -> Observations:
    """One value a run and node: dynamics over the early checkpoints, chance-corrected abilities over the later ones.

    A node that an arm sets has the value 1 in untouched runs and what the arm makes of it in the arm's.
    """
    border = study.measuring.early * study.training.steps
    trained = table.filter(pl.col("step") > UNTRAINED)
    early = trained.filter(pl.col("kind") == "dynamics", pl.col("step") <= border)
    late = trained.filter(pl.col("kind") == "ability", pl.col("step") > border).with_columns(
        value=(pl.col("value") - pl.col("chance")) / (1 - pl.col("chance"))
    )
    place = ["params", "seed", "arm", "node"]
    values = pl.concat([part.select(*place, "value") for part in (early, late)])
    means = values.group_by(place, maintain_order=True).agg(pl.col("value").mean())
    measured = pl.concat([means, _settings(study, table)])
    return Observations(
        table=measured.with_columns(
            run=pl.concat_str([pl.col("params").cast(pl.Int64), "arm", "seed"], separator=" / "),
            scale=pl.col("params"),
        ).select("run", "seed", "scale", "arm", "node", "value"),
        interventions={arm.name: arm.sets for arm in study.interventions},
        floors=dict.fromkeys(study.abilities, 0.0),
    )


def _settings(study: EmergenceStudy, table: pl.DataFrame) -> pl.DataFrame:
    """The values of the nodes that arms set, in every run."""
    runs = table.select("params", "seed", "arm").unique(maintain_order=True)
    level = {(arm.name, node): setting(study, arm, node) for arm in study.interventions for node in arm.sets}
    nodes = sorted({node for _, node in level})
    rows = [
        {"params": params, "seed": seed, "arm": arm, "node": node, "value": level.get((arm, node), 1.0)}
        for params, seed, arm in runs.iter_rows()
        for node in nodes
    ]
    return pl.DataFrame(
        rows, schema={"params": pl.Float64, "seed": pl.Int32, "arm": pl.String, "node": pl.String, "value": pl.Float64}
    )


def history(table: pl.DataFrame) -> pl.DataFrame:
    """The scores as a table for `imprint predict` and `imprint allocate`: an arm is a family, a seed a variant."""
    abilities = table.filter(pl.col("kind") == "ability", pl.col("step") > UNTRAINED)
    variance = (pl.col("value") * (1 - pl.col("value"))).clip(lower_bound=0.01) / pl.col("n")
    return abilities.select(
        pl.lit(SOURCE).alias("source"),
        pl.col("arm").alias("family"),
        pl.col("scale").alias("model"),
        pl.concat_str([pl.lit("seed "), pl.col("seed").cast(pl.String)]).alias("variant"),
        "params",
        "tokens",
        (6 * pl.col("params") * pl.col("tokens")).alias("flops"),
        "step",
        pl.col("node").alias("task"),
        pl.lit(0).alias("shots"),
        pl.lit("acc").alias("metric"),
        pl.col("value").alias("score"),
        variance.sqrt().alias("stderr"),
        "n",
        "chance",
        pl.lit(1).alias("higher_is_better"),
        "log_prob",
    )


def untouched(table: pl.DataFrame) -> pl.DataFrame:
    """The untouched runs only."""
    return table.filter(pl.col("arm") == CONTROL)
