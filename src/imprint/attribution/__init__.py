"""Attribution: which training rows pushed a mechanism's own parameters towards a query, beside every cheap baseline."""

from imprint.attribution.agreement import Agreement, agree, all_pairs, expected_overlap, top_mask
from imprint.attribution.baselines import bm25_scores, embedding_scores, ngram_scores, random_scores
from imprint.attribution.engine.ekfac import BlockFactors, EkfacOptions, fit_factors, precondition
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
from imprint.attribution.engine.scores import SIGN, Scores, per_token
from imprint.attribution.engine.scoring import score_rows
from imprint.attribution.engine.selections import (
    HeadParts,
    direction_subspace,
    head_subspace,
    head_subspaces,
    neuron_subspace,
    whole_model,
)
from imprint.attribution.engine.subspace import Block, Subspace, row_gradients, weight_matrix
from imprint.attribution.head import BASELINES, HeadAttribution, HeadMechanism, attribute_head, load_baselines
from imprint.attribution.heads_transfer import HeadScores, HeadsTransfer, attribute_heads
from imprint.attribution.rankings import CONSENSUS, PROBES, RANKINGS, consensus, ranking, score_table
from imprint.attribution.role_contrast import Interval, RoleContrast, role_contrast
from imprint.attribution.sharded import HeadOfModel, HeadOfRun, attribute_sharded
from imprint.attribution.steps import AttributeModel, Attribution, TopDocuments, TopRows
from imprint.attribution.stream_steps import ExtremeRows, ExtremesOfModel
from imprint.attribution.text_steps import AttributeTexts
from imprint.attribution.time_bins import TimeBins, time_bins
from imprint.attribution.transfer import TransferMatrix, transfer_matrix
from imprint.attribution.window import MEAN_RANK, RATE_WEIGHTED, WindowAgreement, window_agreement, window_sum

__all__ = [
    "BASELINES",
    "CONSENSUS",
    "MEAN_RANK",
    "PROBES",
    "RANKINGS",
    "RATE_WEIGHTED",
    "SIGN",
    "Agreement",
    "AttributeModel",
    "AttributeTexts",
    "Attribution",
    "Block",
    "BlockFactors",
    "EkfacOptions",
    "ExtremeRows",
    "ExtremesOfModel",
    "HeadAttribution",
    "HeadMechanism",
    "HeadOfModel",
    "HeadOfRun",
    "HeadParts",
    "HeadScores",
    "HeadsTransfer",
    "Interval",
    "Query",
    "RoleContrast",
    "Scores",
    "Subspace",
    "TimeBins",
    "TopDocuments",
    "TopRows",
    "TransferMatrix",
    "WindowAgreement",
    "agree",
    "all_pairs",
    "attention_query",
    "attribute_head",
    "attribute_heads",
    "attribute_sharded",
    "bm25_scores",
    "consensus",
    "contrastive_query",
    "direction_subspace",
    "embedding_scores",
    "expected_overlap",
    "fit_factors",
    "head_subspace",
    "head_subspaces",
    "induction_queries",
    "influence",
    "likelihood_queries",
    "likelihood_query",
    "load_baselines",
    "log_prob_query",
    "margin_query",
    "neuron_subspace",
    "ngram_scores",
    "off_by_one_query",
    "parse_size",
    "per_token",
    "precondition",
    "previous_token_query",
    "query_gradient",
    "query_gradients",
    "random_scores",
    "ranking",
    "role_contrast",
    "row_gradients",
    "score_rows",
    "score_table",
    "time_bins",
    "top_mask",
    "transfer_matrix",
    "weight_matrix",
    "whole_model",
    "window_agreement",
    "window_sum",
]
