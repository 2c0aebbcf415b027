"""The perturbation study: clusters of text, the representation that belongs to each, and what perturbing it does."""

from imprint.studies.perturbation.config import (
    AbilityOptions,
    ClusterOptions,
    Family,
    ModelOptions,
    PerturbationOptions,
    PerturbationStudy,
)
from imprint.studies.perturbation.families import family_seed, perturbation
from imprint.studies.perturbation.findings import Cell, FamilyFinding, Responses, accuracy_of, family_q
from imprint.studies.perturbation.plan import LAYER_FAMILY, cluster_space, texts
from imprint.studies.perturbation.space import Space
from imprint.studies.perturbation.study import EVERYTHING, PerturbationResult, run_perturbation_study
from imprint.studies.perturbation.text_checks import TextCheck

__all__ = [
    "EVERYTHING",
    "LAYER_FAMILY",
    "AbilityOptions",
    "Cell",
    "ClusterOptions",
    "Family",
    "FamilyFinding",
    "ModelOptions",
    "PerturbationOptions",
    "PerturbationResult",
    "PerturbationStudy",
    "Responses",
    "Space",
    "TextCheck",
    "accuracy_of",
    "cluster_space",
    "family_q",
    "family_seed",
    "perturbation",
    "run_perturbation_study",
    "texts",
]
