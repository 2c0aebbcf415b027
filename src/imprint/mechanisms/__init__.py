"""Mechanisms: which components carry a capability, how sure we are, and what they do.

association           S(i, k), Cohen's d, AUC with Benjamini-Hochberg; the sets R_k
probes                linear probes by document, with control-task selectivity
paired_prompts        clean and corrupted prompts, and the outcome read from the logits
places                where a mediator sits, and hooks that read or replace it
mediation             total, direct and indirect effects of heads, neurons and sites; necessity and sufficiency
attribution_patching  the same to first order, for all parts at once
decomposition         principal directions (SVD) and non-negative parts (NMF) of a cluster
erasure               LEACE and its controls as affine maps
specialisation        alpha of attention heads, against entropy-matched heads
head_activations      how much each head writes on each document
drift, task_distance  Mahalanobis distances with their nulls and floors
similarity            debiased CKA, principal angles
moments               streamed mean, covariance, Ledoit-Wolf, averages by document
induction, locate     induction and previous-token heads
patching              denoising of copying
steps                 trajectories and heads of checkpoints as cached steps
"""

from imprint.mechanisms.association import (
    Association,
    associate,
    associated_dims,
    association_effect,
    association_table,
    dims_above,
    raw_scores,
    shuffled_discoveries,
)
from imprint.mechanisms.attribution_patching import (
    PatchingAgreement,
    attribution_patching,
    head_attributions,
    patching_agreement,
)
from imprint.mechanisms.decomposition import (
    NonNegativeParts,
    PrincipalDirections,
    nonnegative_parts,
    principal_directions,
)
from imprint.mechanisms.drift import Drift, drift, mahalanobis, unpaired_floor
from imprint.mechanisms.erasure import (
    AffineMap,
    leace,
    leaked_covariance,
    mean_difference_projection,
    random_projection,
    squared_edit,
)
from imprint.mechanisms.head_activations import head_activations
from imprint.mechanisms.induction import (
    exceedance,
    offset_profile,
    prefix_matching,
    prefix_matching_any,
    previous_token,
    uniform_baseline,
    wrong_target_null,
)
from imprint.mechanisms.locate import HeadFindings, Location, ablation_effects, joint_ablation, locate
from imprint.mechanisms.mediation import Mediation, Outcomes, mediate, mediation, potential_outcomes, vig_ratios
from imprint.mechanisms.moments import DocumentMeans, Moments, document_means, ledoit_wolf, moments
from imprint.mechanisms.paired_prompts import PairedPrompts, answer_log_prob, copy_pairs, logit_difference, outcome
from imprint.mechanisms.patching import denoising
from imprint.mechanisms.places import Mediator, Place, head_mediators, neuron_mediators, place_of
from imprint.mechanisms.probes import (
    Probe,
    Selectivity,
    control_labels,
    important_dims,
    probe,
    probe_direction,
    selectivity,
)
from imprint.mechanisms.similarity import cka, cka_effect, principal_angles, subspace_overlap
from imprint.mechanisms.specialisation import (
    CausalPositions,
    HeadSpecialisation,
    above_controls,
    control_heads,
    copy_positions,
    indirect_effects,
    specialisation,
)
from imprint.mechanisms.steps import HEADS_FILE, TRAJECTORY_FILE, LocateHeads, ProbeOptions, Trajectory
from imprint.mechanisms.task_distance import TaskDistance, task_distance

__all__ = [
    "HEADS_FILE",
    "TRAJECTORY_FILE",
    "AffineMap",
    "Association",
    "CausalPositions",
    "DocumentMeans",
    "Drift",
    "HeadFindings",
    "HeadSpecialisation",
    "LocateHeads",
    "Location",
    "Mediation",
    "Mediator",
    "Moments",
    "NonNegativeParts",
    "Outcomes",
    "PairedPrompts",
    "PatchingAgreement",
    "Place",
    "PrincipalDirections",
    "Probe",
    "ProbeOptions",
    "Selectivity",
    "TaskDistance",
    "Trajectory",
    "ablation_effects",
    "above_controls",
    "answer_log_prob",
    "associate",
    "associated_dims",
    "association_effect",
    "association_table",
    "attribution_patching",
    "cka",
    "cka_effect",
    "control_heads",
    "control_labels",
    "copy_pairs",
    "copy_positions",
    "denoising",
    "dims_above",
    "document_means",
    "drift",
    "exceedance",
    "head_activations",
    "head_attributions",
    "head_mediators",
    "important_dims",
    "indirect_effects",
    "joint_ablation",
    "leace",
    "leaked_covariance",
    "ledoit_wolf",
    "locate",
    "logit_difference",
    "mahalanobis",
    "mean_difference_projection",
    "mediate",
    "mediation",
    "moments",
    "neuron_mediators",
    "nonnegative_parts",
    "offset_profile",
    "outcome",
    "patching_agreement",
    "place_of",
    "potential_outcomes",
    "prefix_matching",
    "prefix_matching_any",
    "previous_token",
    "principal_angles",
    "principal_directions",
    "probe",
    "probe_direction",
    "random_projection",
    "raw_scores",
    "selectivity",
    "shuffled_discoveries",
    "specialisation",
    "squared_edit",
    "subspace_overlap",
    "task_distance",
    "uniform_baseline",
    "unpaired_floor",
    "vig_ratios",
    "wrong_target_null",
]
