"""From a susceptibility study's result to the data of its report."""

from collections.abc import Sequence
from pathlib import Path

from imprint.report.examined import examined_records
from imprint.report.model import ClaimRecord, MetricNote, ProvenanceRecord, ReportData, TrustNote
from imprint.report.susceptibility_answer import gate_of, susceptibility_lines
from imprint.report.susceptibility_findings import (
    contamination_record,
    removals_record,
    representation_record,
    surface_record,
)
from imprint.report.susceptibility_noticed import noticed
from imprint.report.susceptibility_records import DesignRecord, SusceptibilityRecord
from imprint.report.wording import count, percent
from imprint.runs import versions
from imprint.stats import Undefined
from imprint.studies import SusceptibilityResult, SusceptibilityStudy
from imprint.studies.susceptibility import (
    CLASSIFIER,
    METRICS,
    REMOVAL,
    REPRESENTATION,
    SURFACE,
    VARIANCE,
    NotExamined,
    PreferenceStage,
    SupervisedStage,
    metric_of,
)

LIMITS = (
    "The conditions are the points of every correlation, however many pipelines each has: with few of them even a perfect"
    " correlation is weak evidence, and one condition can carry it.",
    "A correlation over conditions is not a cause: conditions differ in more than the scalar that ranks them.",
    "Seeds of the last stage are not pipelines: they share base and all earlier stages, so they are averaged and never counted.",
    "Attribution by gradients along one run (TracIn) takes every update as small and alone; the rerun without the rows, not"
    " the score, is the evidence.",
    "Some rows of any corpus matter most for an outcome, so leaving them out moves it; that they set the condition apart needs a"
    " shift about as large as its distance from the others, by rows of a kind that only it has.",
    "Evaluation items in training text raise or lower an outcome without any generalisation; translations and paraphrases of"
    " items are not found by the search.",
    "A margin sums over the tokens of an answer, so longer answers weigh more; pairs whose answers differ in length measure"
    " length too.",
    "A rule that skips a hypothesis saves its cost and leaves it open: not examined is not refuted.",
    "What a small model does not show may be there in a larger one, and what it shows need not be.",
)
TRUST = (
    TrustNote(
        subject="gates",
        text="a registered gate asks that the estimate reaches a threshold and that chance rarely does; read how often chance"
        " alone passes it, which stands in the reason.",
    ),
    TrustNote(
        subject="serial order",
        text="an explanation is named only where conditions differ beyond their pipelines; the other verdicts are reported"
        " whatever that one says.",
    ),
    TrustNote(
        subject="shift",
        text="arms of one pipeline seed count as independent pipelines, which makes the interval too wide rather than too"
        " narrow; another share of rows may give another answer.",
    ),
)
LABELS = {
    SURFACE: "Largest rank correlation of a surface scalar",
    CLASSIFIER: "Accuracy of the bag of tokens",
    VARIANCE: "ICC(1) of the conditions",
    REPRESENTATION: "Largest rank correlation of a representation scalar",
    REMOVAL: "Shift without the driving conversations",
}
_MEASURES = {
    "margin": "mean of log p(chosen) \u2212 log p(rejected), nats",
    "preferred": "share of pairs whose chosen answer is the likelier one",
}
_UNMEASURED = {
    REPRESENTATION: "The checkpoints before the last stage were not measured",
    REMOVAL: "No conversation was removed",
}


def susceptibility_report(result: SusceptibilityResult, *, design: str, command: str, created: str = "") -> ReportData:
    """Everything the report shows, from the study's result; the conversations are read from the conditions' files.

    `design` is the digest of the registered design.
    """
    return ReportData(
        title=result.study.title,
        question=f"Do checkpoints of different training data differ in '{result.explanation.outcome}', and why?",
        answer_lines=susceptibility_lines(result),
        sign_convention="Positive margin: the model prefers the answer that the outcome's file calls chosen.",
        claims=tuple(ClaimRecord.model_validate(claim.as_dict()) for claim in result.claims),
        hypotheses=examined_records(result.study.hypotheses, result.examined),
        registration=result.registration,
        metrics=tuple(MetricNote(name=name, label=LABELS[name], note=f"{METRICS[name]}.") for name in METRICS),
        susceptibility=susceptibility_record(result, design),
        limits=LIMITS,
        trust=TRUST,
        provenance=ProvenanceRecord(
            command=command,
            created=created,
            seconds=tuple({"stage": stage, "seconds": seconds} for stage, seconds in result.seconds.items()),  # type: ignore[misc]
            digests={**result.keys, "registration": result.registration, "design": design},
            versions=versions(),
            warnings=result.warnings,
        ),
    )


def susceptibility_record(result: SusceptibilityResult, design: str) -> SusceptibilityRecord:
    """What only this kind of study shows."""
    gate = gate_of(result)
    return SusceptibilityRecord(
        explanation=result.explanation,
        level=result.variance[0].alpha if gate is None else gate[0].alpha,
        design=_design(result.study, design),
        deviations=result.study.deviations,
        noticed=noticed(result),
        means=_means(result),
        contamination=contamination_record(result.contamination),
        variance=result.variance,
        clean=result.clean,
        surface=surface_record(result.surface),
        representation=None if result.representation is None else representation_record(result.representation),
        removal=removals_record(result),
        absent={metric.partition(".")[0]: _why_absent(result, metric) for metric in _UNMEASURED},
    )


def _means(result: SusceptibilityResult) -> dict[str, dict[str, float]]:
    """By outcome the mean of every condition over its pipelines, in the order of the study."""
    found = {}
    for finding in result.variance:
        values = {one.name: [pipeline.value for pipeline in one.pipelines] for one in finding.conditions}
        found[finding.metric] = {name: sum(values[name]) / len(values[name]) for name in result.study.conditions}
    return found


def _why_absent(result: SusceptibilityResult, metric: str) -> str:
    """Why the section of a metric is empty; the reason of the hypothesis about it, or that none was registered."""
    if metric == REMOVAL and isinstance(result.removal, Undefined):
        return f"{_UNMEASURED[metric]}: {result.removal.reason}."
    reasons = [
        found.reason
        for found in result.examined
        if isinstance(found, NotExamined) and metric_of(found.metric)[0] == metric
    ]
    return f"{_UNMEASURED[metric]}: {reasons[0] if reasons else 'no hypothesis about it was registered'}."


def _design(study: SusceptibilityStudy, digest: str) -> DesignRecord:
    scalars = [("surface", study.surface.scalars)]
    if study.representation is not None:
        scalars.append(("representation", study.representation.scalars))
    return DesignRecord(
        digest=digest,
        base=_base(study),
        stages=tuple((stage.name, _stage(stage)) for stage in study.stages),
        conditions=tuple((name, _names(paths)) for name, paths in study.conditions.items()),
        seeds=study.pipelines.seeds,
        stage_seeds=study.pipelines.stage_seeds,
        outcomes=tuple((outcome.name, _MEASURES[outcome.measure]) for outcome in study.outcomes),
        scalars=tuple(scalars),
        removal=_removal(study),
        rules=study.stopping,
    )


def _base(study: SusceptibilityStudy) -> str:
    if study.base.pretraining is None:
        model = study.base.model or ""
        return Path(model).name if Path(model).exists() else model
    each = ", anew with every pipeline seed" if study.base.each_seed else ""
    return f"trained here for {count(study.base.pretraining.steps, 'update')}{each}"


def _stage(stage: SupervisedStage | PreferenceStage) -> str:
    if isinstance(stage, PreferenceStage):
        return f"preference pairs of {_names(stage.data)} (DPO)"
    on = "the condition's own corpus" if isinstance(stage.data, str) else _names(stage.data)
    return f"{on} (SFT{', LoRA' if stage.lora else ''})"


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _removal(study: SusceptibilityStudy) -> str:
    options = study.removal
    if options is None:
        return ""
    where = ", ".join(options.conditions) or "the conditions with the highest and the lowest outcome"
    also = f", beside {', '.join(options.also)}" if options.also else ""
    return f"the driving {percent(options.fraction)} of {where}, by {options.method}{also}"
