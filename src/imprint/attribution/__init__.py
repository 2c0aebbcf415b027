"""Attribution: which training rows pushed a mechanism's own parameters towards a query, beside every cheap baseline."""

from imprint.attribution.baselines import bm25_scores, embedding_scores, ngram_scores, random_scores
from imprint.attribution.ekfac import BlockFactors, EkfacOptions, fit_factors, precondition
from imprint.attribution.head import BASELINES, HeadAttribution, HeadMechanism, attribute_head, load_baselines
from imprint.attribution.influence import influence
from imprint.attribution.queries import (
    Query,
    attention_query,
    contrastive_query,
    induction_queries,
    log_prob_query,
    off_by_one_query,
    previous_token_query,
    query_gradient,
)
from imprint.attribution.rankings import CONSENSUS, PROBES, RANKINGS, consensus, ranking, score_table
from imprint.attribution.scores import SIGN, Scores, per_token
from imprint.attribution.scoring import score_rows
from imprint.attribution.steps import AttributeModel, Attribution, TopRows
from imprint.attribution.subspace import Block, HeadParts, Subspace, head_subspace, weight_matrix

__all__ = [
    "BASELINES",
    "CONSENSUS",
    "PROBES",
    "RANKINGS",
    "SIGN",
    "AttributeModel",
    "Attribution",
    "Block",
    "BlockFactors",
    "EkfacOptions",
    "HeadAttribution",
    "HeadMechanism",
    "HeadParts",
    "Query",
    "Scores",
    "Subspace",
    "TopRows",
    "attention_query",
    "attribute_head",
    "bm25_scores",
    "consensus",
    "contrastive_query",
    "embedding_scores",
    "fit_factors",
    "head_subspace",
    "induction_queries",
    "influence",
    "load_baselines",
    "log_prob_query",
    "ngram_scores",
    "off_by_one_query",
    "per_token",
    "precondition",
    "previous_token_query",
    "query_gradient",
    "random_scores",
    "ranking",
    "score_rows",
    "score_table",
    "weight_matrix",
]
