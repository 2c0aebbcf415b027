"""The engine: per-row gradients of a subspace, their curvature, and influence along many queries in one pass."""

from imprint.attribution.engine.ekfac import BlockFactors, EkfacOptions, fit_factors, precondition
from imprint.attribution.engine.gradient_store import GradientStore
from imprint.attribution.engine.influence import influence
from imprint.attribution.engine.memory import parse_size
from imprint.attribution.engine.queries import (
    Query,
    attention_query,
    contrastive_query,
    induction_queries,
    likelihood_queries,
    likelihood_query,
    log_prob_query,
    margin_query,
    off_by_one_query,
    previous_token_query,
    query_gradient,
    query_gradients,
)
from imprint.attribution.engine.refine import refine
from imprint.attribution.engine.scores import SIGN, Scores, per_token
from imprint.attribution.engine.scoring import Pass, score_rows
from imprint.attribution.engine.selections import (
    HeadParts,
    direction_subspace,
    head_subspace,
    head_subspaces,
    neuron_subspace,
    whole_model,
)
from imprint.attribution.engine.streaming import Extremes, stream_top
from imprint.attribution.engine.subspace import Block, Subspace, row_gradients, weight_matrix

__all__ = [
    "SIGN",
    "Block",
    "BlockFactors",
    "EkfacOptions",
    "Extremes",
    "GradientStore",
    "HeadParts",
    "Pass",
    "Query",
    "Scores",
    "Subspace",
    "attention_query",
    "contrastive_query",
    "direction_subspace",
    "fit_factors",
    "head_subspace",
    "head_subspaces",
    "induction_queries",
    "influence",
    "likelihood_queries",
    "likelihood_query",
    "log_prob_query",
    "margin_query",
    "neuron_subspace",
    "off_by_one_query",
    "parse_size",
    "per_token",
    "precondition",
    "previous_token_query",
    "query_gradient",
    "query_gradients",
    "refine",
    "row_gradients",
    "score_rows",
    "stream_top",
    "weight_matrix",
    "whole_model",
]
