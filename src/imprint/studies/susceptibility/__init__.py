"""Why do checkpoints differ that were trained on different corpora? Surface, representation, a few rows, or seeds.

- `config`, `options`: the study's file; `hypotheses`, `design`: what is registered before anything is trained
- `pipelines`, `outcomes`: base, stages and measurements of every condition and seed
- `surface` (H1), `verdicts` (H4 and the order), `representation` (H2), `removal` (H3); `correlation`: scalars and outcomes
- `examined`, `explanation`, `claims`: verdicts, which explanation may be named, the evidence ladder
- `study`: the whole on one screen
"""

from imprint.studies.examined import Examined, NotExamined, supported
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.explanation import Explanation, Named, explain
from imprint.studies.susceptibility.hypotheses import (
    CLASSIFIER,
    METRICS,
    REMOVAL,
    REPRESENTATION,
    SURFACE,
    VARIANCE,
    default_hypotheses,
    metric_of,
)
from imprint.studies.susceptibility.options import (
    Base,
    Outcome,
    PipelineOptions,
    PreferenceStage,
    Pretraining,
    RemovalOptions,
    RepresentationOptions,
    StoppingRule,
    SupervisedStage,
    SurfaceOptions,
)
from imprint.studies.susceptibility.removal import Removal, RemovalFinding
from imprint.studies.susceptibility.representation import RepresentationFinding
from imprint.studies.susceptibility.study import SusceptibilityResult, run_susceptibility_study
from imprint.studies.susceptibility.surface import ContaminationFinding, SurfaceFinding
from imprint.studies.susceptibility.verdicts import examine, judge_variance

__all__ = [
    "CLASSIFIER",
    "METRICS",
    "REMOVAL",
    "REPRESENTATION",
    "SURFACE",
    "VARIANCE",
    "Base",
    "ContaminationFinding",
    "Examined",
    "Explanation",
    "Named",
    "NotExamined",
    "Outcome",
    "PipelineOptions",
    "PreferenceStage",
    "Pretraining",
    "Removal",
    "RemovalFinding",
    "RemovalOptions",
    "RepresentationFinding",
    "RepresentationOptions",
    "StoppingRule",
    "SupervisedStage",
    "SurfaceFinding",
    "SurfaceOptions",
    "SusceptibilityResult",
    "SusceptibilityStudy",
    "default_hypotheses",
    "examine",
    "explain",
    "judge_variance",
    "metric_of",
    "run_susceptibility_study",
    "supported",
]
