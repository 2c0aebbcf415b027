"""Studies: whole experiments as short, readable compositions of the rooms below."""

from imprint.studies.arms import KEEP, Arm, Corpora, corpora
from imprint.studies.claims import CAPABILITY, draw_claims, judge_all
from imprint.studies.comparison import LOG_ONSET, STRENGTH, ArmEffect, compare_arms, find_onsets
from imprint.studies.config import (
    BOILERPLATE,
    FIFTEEN_PERCENT,
    NOVEL_REPEATS,
    CorpusOptions,
    InterventionOptions,
    MechanismStudy,
    TrainingOptions,
    load_study,
    parse_study,
)
from imprint.studies.mechanism import INFLUENCE, STAGES, MechanismResult, run_mechanism_study, workers
from imprint.studies.ranking_quality import DomainShare, MethodScore, top_documents
from imprint.studies.untouched import UntouchedRun, train_untouched

__all__ = [
    "BOILERPLATE",
    "CAPABILITY",
    "FIFTEEN_PERCENT",
    "INFLUENCE",
    "KEEP",
    "LOG_ONSET",
    "NOVEL_REPEATS",
    "STAGES",
    "STRENGTH",
    "Arm",
    "ArmEffect",
    "Corpora",
    "CorpusOptions",
    "DomainShare",
    "InterventionOptions",
    "MechanismResult",
    "MechanismStudy",
    "MethodScore",
    "TrainingOptions",
    "UntouchedRun",
    "compare_arms",
    "corpora",
    "draw_claims",
    "find_onsets",
    "judge_all",
    "load_study",
    "parse_study",
    "run_mechanism_study",
    "top_documents",
    "train_untouched",
    "workers",
]
