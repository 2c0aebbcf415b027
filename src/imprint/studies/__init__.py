"""Studies: whole experiments as short, readable compositions of the rooms below."""

from imprint.studies.arms import Arm, Corpora, corpora
from imprint.studies.claims import CAPABILITY, draw_claims
from imprint.studies.comparison import ArmEffect, compare_arms, find_onsets
from imprint.studies.config import (
    BOILERPLATE,
    NOVEL_REPEATS,
    CorpusOptions,
    InterventionOptions,
    MechanismStudy,
    TrainingOptions,
)
from imprint.studies.files import STUDIES, Study, load_mechanism_study, load_study, parse_study, study_schema
from imprint.studies.mechanism import INFLUENCE, STAGES, MechanismResult, run_mechanism_study, workers
from imprint.studies.metrics import KEEP, LOG_ONSET, STRENGTH
from imprint.studies.perturbation import PerturbationResult, PerturbationStudy, run_perturbation_study
from imprint.studies.ranking_quality import DomainShare, MethodScore, basis, top_documents
from imprint.studies.registration import FIFTEEN_PERCENT
from imprint.studies.untouched import UntouchedRun, train_untouched
from imprint.studies.verdicts import judge_all

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
    "STUDIES",
    "Arm",
    "ArmEffect",
    "Corpora",
    "CorpusOptions",
    "DomainShare",
    "InterventionOptions",
    "MechanismResult",
    "MechanismStudy",
    "MethodScore",
    "PerturbationResult",
    "PerturbationStudy",
    "Study",
    "TrainingOptions",
    "UntouchedRun",
    "basis",
    "compare_arms",
    "corpora",
    "draw_claims",
    "find_onsets",
    "judge_all",
    "load_mechanism_study",
    "load_study",
    "parse_study",
    "run_mechanism_study",
    "run_perturbation_study",
    "study_schema",
    "top_documents",
    "train_untouched",
    "workers",
]
