"""H1: what the conditions' text alone gives away, and whether it ranks the outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint.corpus.chat import ChatCorpus, ConditionCorpora, EvaluationItems
from imprint.corpus.comparison import (
    CLASSIFIER_FILE,
    CONTAMINATION_FILE,
    DIVERGENCES_FILE,
    MATCHES_FILE,
    SURFACE_FILE,
    CompareSurface,
    FindContamination,
    SurfaceScalars,
)
from imprint.runs import Reporter, Step, Store, read_json
from imprint.stats import Effect, Hypothesis, ScalarScreen, Undefined, judge_gate
from imprint.studies.examined import Examined
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.correlation import registered_outcomes, screened
from imprint.studies.susceptibility.hypotheses import SURFACE
from imprint.studies.susceptibility.options import CONDITION, PreferenceStage


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceFinding:
    """The conditions' text beside the outcomes."""

    scalars: Mapping[str, Mapping[str, float]]
    """Every surface scalar by condition; registered or not."""
    registered: ScalarScreen | Undefined
    """The registered scalars against the outcomes that hypotheses name: what H1 is judged by."""
    explored: ScalarScreen | Undefined
    """All scalars against all outcomes, for the reader."""
    classifier: dict[str, Any]
    divergences: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContaminationFinding:
    """Evaluation items found in what the pipelines were trained on."""

    matches: list[dict[str, Any]]
    summary: dict[str, Any]

    @property
    def items(self) -> frozenset[str]:
        """The items that stand in some training text."""
        return frozenset(match["item"] for match in self.matches)


def search_contamination(study: SusceptibilityStudy, store: Store, reporter: Reporter) -> ContaminationFinding:
    """The items of all outcomes, looked for in the conditions' corpora and in the stages that all share."""
    items = ConditionCorpora(
        names=tuple(outcome.name for outcome in study.outcomes),
        parts=tuple(EvaluationItems(pairs=outcome.pairs) for outcome in study.outcomes),
    )
    training = ConditionCorpora(
        names=(*study.conditions, *(f"stage {name}" for name in _shared(study))),
        parts=(*_own(study), *_shared(study).values()),
    )
    step = FindContamination(items=items, training=training, seed=study.seed)
    with reporter.stage("look for evaluation items in training text", 1) as advance:
        folder = store.get(step, progress=reporter)
        advance(1)
    return ContaminationFinding(
        matches=read_json(folder / MATCHES_FILE), summary=read_json(folder / CONTAMINATION_FILE)
    )


def measure_surfaces(study: SusceptibilityStudy, store: Store, reporter: Reporter) -> list[Path]:
    """The comparison of the corpora and their scalars, which need no model and are made before any is trained."""
    corpus = ConditionCorpora(names=tuple(study.conditions), parts=_own(study))
    options = study.surface
    compared = CompareSurface(
        corpus=corpus, folds=options.folds, permutations=options.permutations, draws=options.draws, seed=study.seed
    )
    folders = []
    with reporter.stage("compare the corpora's surface", 2) as advance:
        for step in (compared, SurfaceScalars(corpus=corpus, reference=_reference(study))):
            folders.append(store.get(step, progress=reporter))
            advance(1)
    return folders


def compare_surfaces(
    study: SusceptibilityStudy, outcomes: Mapping[str, Mapping[str, float]], store: Store, reporter: Reporter
) -> SurfaceFinding:
    """Divergences, a bag-of-tokens classifier, and the surface scalars against the outcomes' condition means."""
    options, folders = study.surface, measure_surfaces(study, store, reporter)
    scalars: dict[str, dict[str, float]] = read_json(folders[1] / SURFACE_FILE)
    asked = registered_outcomes(study.hypotheses, SURFACE, outcomes)
    chosen = {name: scalars[name] for name in options.scalars if name in scalars}
    return SurfaceFinding(
        scalars=scalars,
        registered=screened(chosen, asked, seed=study.seed),
        explored=screened(scalars, outcomes, seed=study.seed),
        classifier=read_json(folders[0] / CLASSIFIER_FILE),
        divergences=read_json(folders[0] / DIVERGENCES_FILE),
    )


def judge_classifier(hypothesis: Hypothesis, classifier: dict[str, Any]) -> Examined:
    """Held-out balanced accuracy against the gate; telling corpora apart explains no outcome by itself."""
    effect = Effect(**{**classifier["balanced_accuracy"], "metric": hypothesis.metric})
    return judge_gate(hypothesis, effect, classifier["p_value"])


def _own(study: SusceptibilityStudy) -> tuple[Step, ...]:
    return tuple(ChatCorpus(paths=files) for files in study.conditions.values())


def _shared(study: SusceptibilityStudy) -> dict[str, Step]:
    shared: dict[str, Step] = {}
    for stage in study.stages:
        if isinstance(stage, PreferenceStage):
            shared[stage.name] = EvaluationItems(pairs=stage.data)
        elif stage.data != CONDITION:
            shared[stage.name] = ChatCorpus(paths=tuple(map(Path, stage.data)))
    return shared


def _reference(study: SusceptibilityStudy) -> Step:
    return (
        ChatCorpus(paths=study.surface.reference) if study.surface.reference else _shared(study)[study.stages[-1].name]
    )
