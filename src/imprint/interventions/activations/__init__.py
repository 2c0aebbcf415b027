"""Interventions on activations: what is done to hidden states, where, on which tokens, and the controls made from it.

subspace        Subspace: chosen dimensions, or any orthonormal directions
edit            Edit: a function of a hidden state
ablations       Zero, Mean, Resample, Patch, Affine: towards a target
injections      Noise, Shift, Sign, RandomSign, Swap, Combined: something added
intervention    Intervention: an edit, where, how much, on which tokens and when
intervene       apply interventions to a running model, counted
tokens          whose tokens a forward pass holds, whatever padding, batch or cache
draws           random numbers that belong to a token
reference       a site's states on reference text, and their root mean square, the unit of doses
gradient_signs  the sign of the loss's gradient at a site
alignment       the rotation from one model's states to another's
matching        random subspaces that hold a given share of variance
controls        controls made from an intervention
sweeps          many interventions on one batch for the price of the blocks they change
files           JSON or YAML with safetensors beside it
edit_records    an edit as a mapping, and back
validation      perplexity and attention patterns, before and after
"""

from imprint.interventions.activations.ablations import Affine, Mean, Patch, Resample, Zero
from imprint.interventions.activations.alignment import Alignment, procrustes
from imprint.interventions.activations.controls import (
    Control,
    change_rms,
    global_noise,
    random_dims,
    random_directions,
    random_tokens,
)
from imprint.interventions.activations.edit import Edit
from imprint.interventions.activations.files import load_interventions, save_interventions
from imprint.interventions.activations.gradient_signs import gradient_signs, next_tokens
from imprint.interventions.activations.injections import Combined, Noise, RandomSign, Shift, Sign, Swap
from imprint.interventions.activations.intervene import Count, Fired, entry_layer, idle_expected, intervene
from imprint.interventions.activations.intervention import Intervention
from imprint.interventions.activations.matching import explained_share
from imprint.interventions.activations.reference import reference_states, site_rms
from imprint.interventions.activations.subspace import Subspace
from imprint.interventions.activations.sweeps import last_tokens, sweep
from imprint.interventions.activations.tokens import Phase
from imprint.interventions.activations.validation import AttentionChange, LossChange, attention_change, loss_change

__all__ = [
    "Affine",
    "Alignment",
    "AttentionChange",
    "Combined",
    "Control",
    "Count",
    "Edit",
    "Fired",
    "Intervention",
    "LossChange",
    "Mean",
    "Noise",
    "Patch",
    "Phase",
    "RandomSign",
    "Resample",
    "Shift",
    "Sign",
    "Subspace",
    "Swap",
    "Zero",
    "attention_change",
    "change_rms",
    "entry_layer",
    "explained_share",
    "global_noise",
    "gradient_signs",
    "idle_expected",
    "intervene",
    "last_tokens",
    "load_interventions",
    "loss_change",
    "next_tokens",
    "procrustes",
    "random_dims",
    "random_directions",
    "random_tokens",
    "reference_states",
    "save_interventions",
    "site_rms",
    "sweep",
]
