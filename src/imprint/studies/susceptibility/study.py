"""The susceptibility study on one screen: contamination, pipelines, then surface, variance, representation, removal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from imprint.runs import Executor, Reporter, Store, silent
from imprint.stats import Claim, Hypothesis, Undefined
from imprint.studies.clock import Clock
from imprint.studies.examined import Examined, NotExamined
from imprint.studies.registration import check_design, check_registered, register, register_design
from imprint.studies.susceptibility.claims import draw_claims
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.correlation import judge_correlation
from imprint.studies.susceptibility.design import design_of
from imprint.studies.susceptibility.explanation import Explanation, explain
from imprint.studies.susceptibility.hypotheses import (
    CLASSIFIER,
    GATE,
    REMOVAL,
    REPRESENTATION,
    SURFACE,
    VARIANCE,
    metric_of,
)
from imprint.studies.susceptibility.inputs import check_inputs
from imprint.studies.susceptibility.outcomes import (
    condition_means,
    measure_outcomes,
    nest_of,
    run_pipelines,
)
from imprint.studies.susceptibility.pipelines import Pipeline, pipelines
from imprint.studies.susceptibility.removal import RemovalFinding, judge_removal, remove_and_rerun
from imprint.studies.susceptibility.representation import RepresentationFinding, probe_checkpoints
from imprint.studies.susceptibility.surface import (
    ContaminationFinding,
    SurfaceFinding,
    compare_surfaces,
    judge_classifier,
    measure_surfaces,
    search_contamination,
)
from imprint.studies.susceptibility.verdicts import examine, judge_variance
from imprint.studies.variance import VarianceFinding, analyse_nest, within_sd


@dataclass(frozen=True, kw_only=True, slots=True)
class SusceptibilityResult:
    """Everything the study found; the report and the evidence file are written from this."""

    study: SusceptibilityStudy
    registration: str
    contamination: ContaminationFinding
    table: pl.DataFrame
    """Condition, pipeline, stage, sample, metric, value: every item of every finished model."""
    variance: tuple[VarianceFinding, ...]
    """By outcome, in the order of the study."""
    clean: tuple[VarianceFinding, ...]
    """The same without the evaluation items that stand in training text; empty where none does."""
    surface: SurfaceFinding
    representation: RepresentationFinding | None
    """None where it was not registered, or a rule stopped before it."""
    removal: RemovalFinding | Undefined | None
    examined: tuple[Examined, ...]
    """In the order of the registered hypotheses."""
    explanation: Explanation
    claims: list[Claim]
    keys: dict[str, str]
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def run_susceptibility_study(
    study: SusceptibilityStudy, out: Path, *, executor: Executor, reporter: Reporter = silent
) -> SusceptibilityResult:
    """Run (or resume) the study in `out` and return what it found; the same call after a crash goes on where it was.

    Raises:
        ConfigError: the folder was registered with other hypotheses or another design, or a file does not fit.
        CorpusError: a chat file that cannot be read, or holds nothing that can be trained on.
    """
    check_inputs(study)
    check_registered(study.hypotheses, out)
    design = design_of(study)
    check_design(design, out)
    store, clock = Store(out / "store"), Clock.of(out)
    with clock.stage("contamination"):
        contamination = search_contamination(study, store, reporter)
    with clock.stage("surface"):
        measure_surfaces(study, store, reporter)
    register_design(design, out)
    registration = register(study.hypotheses, out)
    ran = pipelines(study)
    with clock.stage("pipelines"):
        run_pipelines(study, ran, store, executor, reporter)
        table = measure_outcomes(study, ran, store, executor, reporter)
    inquiry = Inquiry(study=study, ran=ran, table=table, store=store, executor=executor, reporter=reporter, clock=clock)
    examined = examine(study.hypotheses, study.stopping, inquiry.judge)
    explanation = explain(study.hypotheses, examined, study.outcomes[0].name)
    removal = inquiry.removal if isinstance(inquiry.removal, RemovalFinding) else None
    return SusceptibilityResult(
        study=study,
        registration=registration,
        contamination=contamination,
        table=table,
        variance=tuple(inquiry.variance(outcome.name) for outcome in study.outcomes),
        clean=_clean(study, table, contamination),
        surface=inquiry.surface(),
        representation=inquiry.representation,
        removal=inquiry.removal,
        examined=examined,
        explanation=explanation,
        claims=draw_claims(study.hypotheses, examined, explanation, removal),
        keys={"first pipeline": ran[0].finals[0].key, "last pipeline": ran[-1].finals[-1].key},
        warnings=tuple(dict.fromkeys(warning for entry in store.list() for warning in entry.manifest.warnings)),
        seconds=clock.seconds,
    )


@dataclass(kw_only=True, slots=True)
class Inquiry:
    """Computes what a hypothesis needs when it is examined, and not before: a rule may stop it."""

    study: SusceptibilityStudy
    ran: Sequence[Pipeline]
    table: pl.DataFrame
    store: Store
    executor: Executor
    reporter: Reporter
    clock: Clock
    representation: RepresentationFinding | None = None
    removal: RemovalFinding | Undefined | None = None
    compared: SurfaceFinding | None = None

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """By outcome the mean of every condition."""
        return {outcome.name: condition_means(self.table, outcome.name) for outcome in self.study.outcomes}

    def judge(self, hypothesis: Hypothesis) -> Examined:
        """The verdict of one hypothesis."""
        metric, outcome = metric_of(hypothesis.metric)
        if metric == REMOVAL and outcome != self.study.outcomes[0].name:
            return NotExamined.of(hypothesis, f"{metric} is judged on the first outcome only")
        if metric == SURFACE:
            return judge_correlation(hypothesis, self.surface().registered)
        if metric == CLASSIFIER:
            return judge_classifier(hypothesis, self.surface().classifier)
        if metric == REPRESENTATION:
            return judge_correlation(hypothesis, self._probed().registered)
        if metric == REMOVAL:
            return judge_removal(hypothesis, self._removed())
        return judge_variance(hypothesis, nest_of(self.table, outcome), seed=self.study.seed)

    def variance(self, outcome: str) -> VarianceFinding:
        """Where the variance of an outcome comes from."""
        with self.clock.stage("variance"):
            return analyse_nest(
                nest_of(self.table, outcome), seed=self.study.seed, alpha=gate_level(self.study, outcome)
            )

    def surface(self) -> SurfaceFinding:
        """What the text gives away."""
        if self.compared is None:
            self.compared = compare_surfaces(self.study, self.means, self.store, silent)
        return self.compared

    def _probed(self) -> RepresentationFinding:
        options = self.study.representation
        assert options is not None
        if self.representation is None:
            with self.clock.stage("representation"):
                self.representation = probe_checkpoints(
                    self.study,
                    options,
                    self.ran,
                    self.means,
                    store=self.store,
                    executor=self.executor,
                    reporter=self.reporter,
                )
        return self.representation

    def _removed(self) -> RemovalFinding | Undefined:
        options, primary = self.study.removal, self.study.outcomes[0].name
        assert options is not None
        if self.removal is None:
            with self.clock.stage("removal"):
                self.removal = remove_and_rerun(
                    self.study,
                    options,
                    self.ran,
                    self.means[primary],
                    within_sd(nest_of(self.table.filter(pl.col("stage") == 0), primary)),
                    store=self.store,
                    executor=self.executor,
                    reporter=self.reporter,
                )
        return self.removal


def gate_level(study: SusceptibilityStudy, outcome: str) -> float:
    """The level at which the conditions' variance was registered for an outcome; the default where it was not."""
    return next((one.alpha for one in study.hypotheses if metric_of(one.metric) == (VARIANCE, outcome)), GATE)


def _clean(study: SusceptibilityStudy, table: pl.DataFrame, found: ContaminationFinding) -> tuple[VarianceFinding, ...]:
    """The variance of every outcome over the items that were found in no training text, those not judged among them."""
    if not found.items:
        return ()
    clean = []
    for outcome in study.outcomes:
        items = table.filter(pl.col("metric") == outcome.name)["sample"].unique().to_list()
        kept = [item for item in items if f"{outcome.name}/{item}" not in found.items]
        if kept:
            nest, alpha = nest_of(table, outcome.name, only=kept), gate_level(study, outcome.name)
            clean.append(analyse_nest(nest, seed=study.seed, alpha=alpha))
    return tuple(clean)
