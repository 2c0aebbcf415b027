"""Models: load them unmodified, address their parts, read and edit their activations, build one by hand."""

from imprint.models.activation_store import ActivationStore
from imprint.models.activations import Activations, capture
from imprint.models.batches import on_model
from imprint.models.components import Anatomy, Component, ParameterSlice, check_context
from imprint.models.extraction import ActivationShard, JoinedActivations, extract_sharded
from imprint.models.families import FAMILIES, Family, HeadShape, family_of
from imprint.models.gradients import Capture, OutputGradients, captured, loss_gradients
from imprint.models.handmade import induction_transformer
from imprint.models.hooks import (
    Ablation,
    Edge,
    Hook,
    HookFunction,
    ablate_heads,
    attention_patterns,
    eager_attention,
    evaluating,
    head_means,
    hooked,
    place,
    record,
)
from imprint.models.imported import ImportedModel, objective_of, open_imported
from imprint.models.loading import load_model, load_tokenizer
from imprint.models.loss import label_mask, log_probs_of, token_losses, weighted_mean_loss
from imprint.models.prefix import PrefixStates, depth, depth_of, prefix_states, prefixes, resumed
from imprint.models.readout import reading
from imprint.models.steps import Train, checkpoint_steps, open_checkpoint
from imprint.models.training import Architecture, Device, Optimisation, checkpoint_name, train

__all__ = [
    "FAMILIES",
    "Ablation",
    "ActivationShard",
    "ActivationStore",
    "Activations",
    "Anatomy",
    "Architecture",
    "Capture",
    "Component",
    "Device",
    "Edge",
    "Family",
    "HeadShape",
    "Hook",
    "HookFunction",
    "ImportedModel",
    "JoinedActivations",
    "Optimisation",
    "OutputGradients",
    "ParameterSlice",
    "PrefixStates",
    "Train",
    "ablate_heads",
    "attention_patterns",
    "capture",
    "captured",
    "check_context",
    "checkpoint_name",
    "checkpoint_steps",
    "depth",
    "depth_of",
    "eager_attention",
    "evaluating",
    "extract_sharded",
    "family_of",
    "head_means",
    "hooked",
    "induction_transformer",
    "label_mask",
    "load_model",
    "load_tokenizer",
    "log_probs_of",
    "loss_gradients",
    "objective_of",
    "on_model",
    "open_checkpoint",
    "open_imported",
    "place",
    "prefix_states",
    "prefixes",
    "reading",
    "record",
    "resumed",
    "token_losses",
    "train",
    "weighted_mean_loss",
]
