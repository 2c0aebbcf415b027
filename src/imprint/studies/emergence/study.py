"""The emergence study on one screen: arms at every scale, the graph tested and refined, the next scale, allocation."""

from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from imprint.emergence.graph import EdgeFindings, RefinedGraph, refine, test_edges
from imprint.emergence.predictor import Prediction
from imprint.runs import Executor, Reporter, Store, read_json, silent, write_json
from imprint.stats import Claim, Hypothesis, Undefined
from imprint.studies.clock import Clock
from imprint.studies.emergence.abruptness import Abruptness, abruptness
from imprint.studies.emergence.beside import Beside, beside
from imprint.studies.emergence.claims import draw_claims
from imprint.studies.emergence.config import EmergenceStudy
from imprint.studies.emergence.hypotheses import SAVING
from imprint.studies.emergence.observed import HISTORY_FILE, history, measure_runs, observations
from imprint.studies.emergence.policies import AllocationFinding, compare_policies, judge_allocation
from imprint.studies.emergence.prediction import (
    PredictionFinding,
    backtest,
    compare_with_outcome,
    judge_prediction,
    predict_held_out,
)
from imprint.studies.emergence.runs import Run, held_out_runs, trained_runs
from imprint.studies.examined import Examined
from imprint.studies.registration import check_design, check_registered, register, register_design

PREDICTIONS_FILE = "predictions.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class EmergenceResult:
    """Everything the study found; the report and the evidence file are written from this."""

    study: EmergenceStudy
    registration: str
    design: str
    table: pl.DataFrame
    """Every run at every checkpoint, the held-out scale with the others: see `measure_runs`."""
    findings: EdgeFindings
    refined: RefinedGraph
    beside: Beside
    """What decides no edge: taxonomy, structural equations, causal discovery."""
    abruptness: tuple[Abruptness, ...]
    prediction: PredictionFinding | Undefined | None
    """None where no scale was held out."""
    foretold: bool
    """Whether the predictions were written down before any run at the held-out scale had been trained."""
    backtest: PredictionFinding | Undefined
    """The largest trained scale, predicted from the smaller ones."""
    allocation: AllocationFinding | Undefined | None
    examined: tuple[Examined, ...]
    claims: list[Claim]
    keys: dict[str, str]
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def run_emergence_study(
    study: EmergenceStudy, out: Path, *, executor: Executor, reporter: Reporter = silent
) -> EmergenceResult:
    """Run (or resume) the study in `out` and return what it found; the same call after a crash goes on where it was.

    Predictions about the held-out scale are written down before the first of its runs is trained.

    Raises:
        ConfigError: the folder was begun with another design or other hypotheses.
    """
    registration, registered = _register(study, out)
    store, clock = Store(out / "store"), Clock.of(out)
    runs, later = trained_runs(study), held_out_runs(study)
    with clock.stage("interventions"):
        table = measure_runs(study, runs, store, executor, reporter, stage="train under interventions")
    with clock.stage("graph"):
        findings = test_graph(study, table)
        refined = refine(study.causal_graph, findings)
        others = beside(observations(study, table), findings, refined, seed=study.seed)
    scores = history(table)
    scores.write_parquet(out / HISTORY_FILE)
    with clock.stage("prediction"):
        backtested = backtest(study, scores)
    whole, prediction, foretold = table, None, False
    if later:
        with clock.stage("prediction"):
            predicted, foretold = _predicted(study, scores, later, out, store)
        with clock.stage("held-out scale"):
            held_out = measure_runs(study, later, store, executor, reporter, stage="train the held-out scale")
        whole = pl.concat([table, held_out])
        prediction = (
            predicted
            if isinstance(predicted, Undefined)
            else compare_with_outcome(study, predicted, scores, history(held_out))
        )
    allocation = None
    if study.allocating is not None:
        with clock.stage("allocation"):
            allocation = compare_policies(study, scores, reporter)
    return EmergenceResult(
        study=study,
        registration=registration,
        design=registered,
        table=whole,
        findings=findings,
        refined=refined,
        beside=others,
        abruptness=abruptness(whole),
        prediction=prediction,
        foretold=foretold,
        backtest=backtested,
        allocation=allocation,
        examined=tuple(_examined(one, prediction, allocation) for one in study.hypotheses),
        claims=draw_claims(study, findings, refined),
        keys={"first run": runs[0].train.key, "last run": (later or runs)[-1].train.key},
        warnings=tuple(dict.fromkeys(warning for entry in store.list() for warning in entry.manifest.warnings)),
        seconds=clock.seconds,
    )


def _register(study: EmergenceStudy, out: Path) -> tuple[str, str]:
    """Write hypotheses and design (the graph is part of it) before anything is trained; their digests."""
    design = study.model_dump(mode="json", exclude={"title", "deviations", "hypotheses", "graph"})
    design["graph"] = study.causal_graph.as_dict()
    check_registered(study.hypotheses, out)
    check_design(design, out)
    return register(study.hypotheses, out), register_design(design, out)


def train_interventions(
    study: EmergenceStudy, out: Path, *, arms: tuple[str, ...], executor: Executor, reporter: Reporter = silent
) -> pl.DataFrame:
    """Train and measure the untouched runs and those of the named arms at every trained scale; what is there is reused.

    Hypotheses and design are registered now, because whoever has seen these runs cannot register them any more.

    Raises:
        ConfigError: the folder was begun with another design or other hypotheses.
    """
    _register(study, out)
    wanted = {"control", *arms}
    runs = [run for run in trained_runs(study) if run.arm in wanted]
    return measure_runs(study, runs, Store(out / "store"), executor, reporter, stage="train under interventions")


def test_graph(study: EmergenceStudy, table: pl.DataFrame) -> EdgeFindings:
    """The effect of every arm on every later node; abilities have the registered margin, dynamics one standard deviation."""
    margin = dict.fromkeys(study.abilities, study.measuring.margin)
    return test_edges(study.causal_graph, observations(study, table), margin=margin, seed=study.seed)


test_graph.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it wherever it is imported


def _predicted(
    study: EmergenceStudy, scores: pl.DataFrame, later: list[Run], out: Path, store: Store
) -> tuple[tuple[Prediction, ...] | Undefined, bool]:
    """The predictions as they were written down, made now if they are not there yet; and whether nothing was trained then."""
    path = out / PREDICTIONS_FILE
    if not path.exists():
        foretold = not any(store.has(run.train) for run in later)
        made = predict_held_out(study, scores, later[0].params)
        said = made.as_dict() if isinstance(made, Undefined) else {"predictions": [asdict(one) for one in made]}
        write_json(path, {"before_training": foretold} | said)
    kept = read_json(path)
    if "undefined" in kept:
        return Undefined(reason=kept["undefined"]), bool(kept["before_training"])
    return tuple(Prediction(**one) for one in kept["predictions"]), bool(kept["before_training"])


def _examined(
    hypothesis: Hypothesis,
    prediction: PredictionFinding | Undefined | None,
    allocation: AllocationFinding | Undefined | None,
) -> Examined:
    if hypothesis.metric == SAVING:
        assert allocation is not None
        return judge_allocation(hypothesis, allocation)
    assert prediction is not None
    return judge_prediction(hypothesis, prediction)
