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
head_table            any mechanism as a score of every head against the null of the maximum over heads
standard              previous-token, copying, duplicate-token and successor heads by name
copying, ov_circuit   what a head writes on the logits of the token it reads
copying_weights       the same from the weights alone
duplicate_token       attention from a token's second occurrence to the first
successor, ordinals   from Monday to Tuesday, and which such pairs a tokenizer has
user_score, user_file any function of the user, also from a file
fresh_models          the null of freshly initialised models
patching              denoising of copying
path_patching         what one part tells a head through queries, keys or values
circuits              previous-token head to induction head, checked by path patching
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
from imprint.mechanisms.circuits import CircuitPath, circuit_paths, circuit_senders, induction_circuit
from imprint.mechanisms.copying import CopyingProbe, copying_probe
from imprint.mechanisms.copying_weights import CopyingWeights, copying_weights
from imprint.mechanisms.decomposition import (
    NonNegativeParts,
    PrincipalDirections,
    nonnegative_parts,
    principal_directions,
)
from imprint.mechanisms.drift import Drift, drift, mahalanobis, unpaired_floor
from imprint.mechanisms.duplicate_token import DuplicateProbe, duplicate_probe
from imprint.mechanisms.erasure import (
    AffineMap,
    leace,
    leaked_covariance,
    mean_difference_projection,
    random_projection,
    squared_edit,
)
from imprint.mechanisms.fresh_models import LEAST_INITIAL_MODELS, fresh_models, largest_score, largest_scores
from imprint.mechanisms.head_activations import head_activations
from imprint.mechanisms.head_table import Behaviour, HeadMechanism, ScoredHead, ScoredHeads, initial_maxima, score_heads
from imprint.mechanisms.induction import (
    exceedance,
    offset_profile,
    prefix_matching,
    prefix_matching_any,
    previous_token,
    uniform_baseline,
    wrong_target_null,
)
from imprint.mechanisms.locate import HeadFindings, Location, ablation_effects, joint_ablation, locate, prefix_maximum
from imprint.mechanisms.mediation import Mediation, Outcomes, mediate, mediation, potential_outcomes, vig_ratios
from imprint.mechanisms.moments import DocumentMeans, Moments, document_means, ledoit_wolf, moments
from imprint.mechanisms.ordinals import successor_pairs
from imprint.mechanisms.ov_circuit import has_direct_path
from imprint.mechanisms.paired_prompts import PairedPrompts, answer_log_prob, copy_pairs, logit_difference, outcome
from imprint.mechanisms.patching import denoising
from imprint.mechanisms.path_patching import PatchedPath, path_patching
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
from imprint.mechanisms.standard import MECHANISMS, standard_mechanism
from imprint.mechanisms.steps import HEADS_FILE, TRAJECTORY_FILE, LocateHeads, ProbeOptions, Trajectory
from imprint.mechanisms.successor import SuccessorProbe, ordinal_pairs, successor_probe
from imprint.mechanisms.task_distance import TaskDistance, task_distance
from imprint.mechanisms.user_file import user_function, user_mechanism
from imprint.mechanisms.user_score import ModelScore, PatternScore

__all__ = [
    "HEADS_FILE",
    "LEAST_INITIAL_MODELS",
    "MECHANISMS",
    "TRAJECTORY_FILE",
    "AffineMap",
    "Association",
    "Behaviour",
    "CausalPositions",
    "CircuitPath",
    "CopyingProbe",
    "CopyingWeights",
    "DocumentMeans",
    "Drift",
    "DuplicateProbe",
    "HeadFindings",
    "HeadMechanism",
    "HeadSpecialisation",
    "LocateHeads",
    "Location",
    "Mediation",
    "Mediator",
    "ModelScore",
    "Moments",
    "NonNegativeParts",
    "Outcomes",
    "PairedPrompts",
    "PatchedPath",
    "PatchingAgreement",
    "PatternScore",
    "Place",
    "PrincipalDirections",
    "Probe",
    "ProbeOptions",
    "ScoredHead",
    "ScoredHeads",
    "Selectivity",
    "SuccessorProbe",
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
    "circuit_paths",
    "circuit_senders",
    "cka",
    "cka_effect",
    "control_heads",
    "control_labels",
    "copy_pairs",
    "copy_positions",
    "copying_probe",
    "copying_weights",
    "denoising",
    "dims_above",
    "document_means",
    "drift",
    "duplicate_probe",
    "exceedance",
    "fresh_models",
    "has_direct_path",
    "head_activations",
    "head_attributions",
    "head_mediators",
    "important_dims",
    "indirect_effects",
    "induction_circuit",
    "initial_maxima",
    "joint_ablation",
    "largest_score",
    "largest_scores",
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
    "ordinal_pairs",
    "outcome",
    "patching_agreement",
    "path_patching",
    "place_of",
    "potential_outcomes",
    "prefix_matching",
    "prefix_matching_any",
    "prefix_maximum",
    "previous_token",
    "principal_angles",
    "principal_directions",
    "probe",
    "probe_direction",
    "random_projection",
    "raw_scores",
    "score_heads",
    "selectivity",
    "shuffled_discoveries",
    "specialisation",
    "squared_edit",
    "standard_mechanism",
    "subspace_overlap",
    "successor_pairs",
    "successor_probe",
    "task_distance",
    "uniform_baseline",
    "unpaired_floor",
    "user_function",
    "user_mechanism",
    "vig_ratios",
    "wrong_target_null",
]
