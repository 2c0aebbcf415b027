"""Mechanisms: which components carry a capability, how sure we are, and what they do."""

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
from imprint.mechanisms.patching import denoising
from imprint.mechanisms.steps import HEADS_FILE, TRAJECTORY_FILE, LocateHeads, ProbeOptions, Trajectory

__all__ = [
    "HEADS_FILE",
    "TRAJECTORY_FILE",
    "HeadFindings",
    "LocateHeads",
    "Location",
    "ProbeOptions",
    "Trajectory",
    "ablation_effects",
    "denoising",
    "exceedance",
    "joint_ablation",
    "locate",
    "offset_profile",
    "prefix_matching",
    "prefix_matching_any",
    "previous_token",
    "uniform_baseline",
    "wrong_target_null",
]
