"""From an emergence study's result to the data of its report."""

from imprint.report.emergence_answer import emergence_lines
from imprint.report.emergence_beside import beside_record
from imprint.report.emergence_design import design_record
from imprint.report.emergence_findings import (
    allocation_record,
    effect_records,
    forecast_record,
    graph_record,
    manipulation_record,
    unvaried,
)
from imprint.report.emergence_noticed import noticed
from imprint.report.emergence_records import EmergenceRecord
from imprint.report.emergence_trajectories import curve_records
from imprint.report.examined import examined_records
from imprint.report.model import ClaimRecord, MetricNote, ProvenanceRecord, ReportData, TrustNote
from imprint.report.wording import listing
from imprint.runs import versions
from imprint.stats import Undefined
from imprint.studies import EmergenceResult
from imprint.studies.emergence import AUC, METRICS, SAVING, SKILL

LIMITS = (
    "An intervention measures its total effect, over every path from what it sets to what moved; only a joint arm that also holds"
    " what lies between tells a direct effect.",
    "An edit that is in force from the first update makes another model, to which training adapts: it asks what the ability needs"
    " in order to arise, not what a finished model uses.",
    "Undecided is not dropped: the runs were too few, too noisy or too alike to say.",
    "Runs of one seed share their order of rows at every scale and arm, so pairs are less independent than they look and"
    " intervals may be too narrow.",
    "A supported edge was not tested against causes that are not in the graph; an added one says that an effect is there, not"
    " that nothing lies between.",
    "At scales where an ability stays at chance with and without an arm nothing could be lost; they are left out of its effect.",
    "Whether an ability is there depends on a threshold that was registered beforehand; accuracy has thresholds of its own, which"
    " is why the log-probability of the answer stands beside it.",
    "Abrupt means bent along log tokens with a few checkpoints, and no more than that.",
    "Forecasts of abilities under arms share seeds, data and scales, so they are fewer than they look.",
    "Allocation is replayed on runs that exist; its costs are 6 times parameters times tokens and leave out evaluation.",
    "These models are small and their world is planted, each ability with one kind of row as its only cause; larger models on"
    " natural text may differ.",
)
TRUST = (
    TrustNote(
        subject="effects of interventions",
        text="mean over scales of paired differences, each scale counting alike, with a t interval within scales; q corrects for"
        " all effects of arms that set one node.",
    ),
    TrustNote(
        subject="dropped",
        text="the whole interval lies within the smallest effect of interest, or the effect is gone, or of the other sign, as its"
        " reason says; a smaller effect may be there.",
    ),
    TrustNote(
        subject="P(there)",
        text="from curves of the trained scales only, written down before the held-out scale was trained; the interval is that of"
        " the predictor, not of the outcome.",
    ),
    TrustNote(
        subject="compute over the oracle's",
        text="the oracle knows every run, so 1 cannot be reached without luck; the unit of an interval is the ability.",
    ),
)
LABELS = {AUC: "AUC at the held-out scale", SKILL: "Brier skill at the held-out scale", SAVING: "Compute saved"}


def emergence_report(result: EmergenceResult, *, command: str, created: str = "") -> ReportData:
    """Everything the report shows, from the study's result."""
    return ReportData(
        title=result.study.title,
        question=f"What makes {listing(result.study.abilities)} emerge with scale?",
        answer_lines=emergence_lines(result),
        sign_convention="Positive effect: the intervention raised what was measured.",
        claims=tuple(ClaimRecord.model_validate(claim.as_dict()) for claim in result.claims),
        hypotheses=examined_records(result.study.hypotheses, result.examined),
        registration=result.registration,
        metrics=tuple(MetricNote(name=name, label=LABELS[name], note=f"{METRICS[name]}.") for name in METRICS),
        emergence=emergence_record(result),
        limits=LIMITS,
        trust=TRUST,
        provenance=ProvenanceRecord(
            command=command,
            created=created,
            seconds=tuple({"stage": stage, "seconds": seconds} for stage, seconds in result.seconds.items()),  # type: ignore[misc]
            digests={**result.keys, "registration": result.registration, "design": result.design},
            versions=versions(),
            warnings=result.warnings,
        ),
    )


def emergence_record(result: EmergenceResult) -> EmergenceRecord:
    """What only this kind of study shows."""
    return EmergenceRecord(
        design=design_record(result),
        deviations=result.study.deviations,
        noticed=noticed(result),
        graph=graph_record(result.refined),
        effects=effect_records(result),
        unvaried=unvaried(result),
        manipulations=tuple(manipulation_record(one) for one in result.findings.manipulations),
        beside=beside_record(result.beside),
        curves=curve_records(result),
        abruptness=result.abruptness,
        forecast=forecast_record(result),
        allocation=allocation_record(result.allocation),
        absent=_absent(result),
    )


def _absent(result: EmergenceResult) -> dict[str, str]:
    """Why nothing was predicted or allocated, where that is so."""
    reasons = {}
    for name, found, none in (
        ("forecast", result.prediction, "No scale was held out"),
        ("allocation", result.allocation, "Allocation policies were not compared: the study's file leaves them out"),
    ):
        if found is None:
            reasons[name] = f"{none}."
        elif isinstance(found, Undefined):
            what = "Nothing was predicted" if name == "forecast" else "Policies could not be compared"
            reasons[name] = f"{what}: {found.reason}."
    return reasons
