"""Do corpora differ on their surface, and do they hold the evaluation? Divergence, bag of tokens, contamination."""

from imprint.corpus.comparison.classifier import SurfaceClassifier, TellingToken, classify_corpora
from imprint.corpus.comparison.contamination import Contamination, ContaminationMatch, find_contamination
from imprint.corpus.comparison.divergences import (
    CorpusDivergence,
    Divergence,
    DivergenceEstimate,
    corpus_divergences,
    divergence,
    divergence_from_rest,
)
from imprint.corpus.comparison.duplicates import duplicate_groups, jaccard, minhash
from imprint.corpus.comparison.ngrams import NgramCounts, ngram_counts, surface_tokens
from imprint.corpus.comparison.reference import SURFACE_FILE, SURFACE_SCALARS, SurfaceScalars, surface_scalars
from imprint.corpus.comparison.steps import (
    CLASSIFIER_FILE,
    CONTAMINATION_FILE,
    DIVERGENCES_FILE,
    MATCHES_FILE,
    CompareSurface,
    FindContamination,
)

__all__ = [
    "CLASSIFIER_FILE",
    "CONTAMINATION_FILE",
    "DIVERGENCES_FILE",
    "MATCHES_FILE",
    "SURFACE_FILE",
    "SURFACE_SCALARS",
    "CompareSurface",
    "Contamination",
    "ContaminationMatch",
    "CorpusDivergence",
    "Divergence",
    "DivergenceEstimate",
    "FindContamination",
    "NgramCounts",
    "SurfaceClassifier",
    "SurfaceScalars",
    "TellingToken",
    "classify_corpora",
    "corpus_divergences",
    "divergence",
    "divergence_from_rest",
    "duplicate_groups",
    "find_contamination",
    "jaccard",
    "minhash",
    "ngram_counts",
    "surface_scalars",
    "surface_tokens",
]
