"""The mechanism study: which training data made a head, through which mechanism, and is that causal?"""

from imprint.studies.mechanism.arms import Arm, Corpora, corpora
from imprint.studies.mechanism.character import Character, PoolCharacter, characterise
from imprint.studies.mechanism.claims import CAPABILITY, draw_claims
from imprint.studies.mechanism.comparison import ArmEffect, compare_arms, find_onsets
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.hypotheses import FIFTEEN_PERCENT
from imprint.studies.mechanism.metrics import KEEP, LOG_ONSET, STRENGTH
from imprint.studies.mechanism.options import (
    BOILERPLATE,
    NOVEL_REPEATS,
    CorpusOptions,
    InterventionOptions,
    TrainingOptions,
)
from imprint.studies.mechanism.ranking_quality import DomainShare, MethodScore, basis, top_documents
from imprint.studies.mechanism.study import INFLUENCE, STAGES, MechanismResult, run_mechanism_study, workers
from imprint.studies.mechanism.training_arms import TrainingEffect, train_under
from imprint.studies.mechanism.untouched import UntouchedRun, train_untouched
from imprint.studies.mechanism.verdicts import judge_all

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
    "Character",
    "Corpora",
    "CorpusOptions",
    "DomainShare",
    "InterventionOptions",
    "MechanismResult",
    "MechanismStudy",
    "MethodScore",
    "PoolCharacter",
    "TrainingEffect",
    "TrainingOptions",
    "UntouchedRun",
    "basis",
    "characterise",
    "compare_arms",
    "corpora",
    "draw_claims",
    "find_onsets",
    "judge_all",
    "run_mechanism_study",
    "top_documents",
    "train_under",
    "train_untouched",
    "workers",
]
