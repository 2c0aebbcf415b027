"""Methods: every way to score training rows for queries, behind one interface (`Problem` in, scores out).

A method is one file and one line in `METHODS`. Positive always means: training on the row raises the query.
"""

from imprint.attribution.methods.bm25 import BM25
from imprint.attribution.methods.datamodels import Datamodels, fit_datamodels
from imprint.attribution.methods.ekfac import Ekfac
from imprint.attribution.methods.embedding import EmbeddingSimilarity
from imprint.attribution.methods.gradient_cosine import GradientCosine
from imprint.attribution.methods.gradient_dot import GradientDot
from imprint.attribution.methods.gradient_norm import GradientNorm
from imprint.attribution.methods.interface import Method, Problem
from imprint.attribution.methods.leave_one_out import LeaveOneOut
from imprint.attribution.methods.loss import Loss
from imprint.attribution.methods.metagradient import Metagradient
from imprint.attribution.methods.power import expected_recovery, runs_needed
from imprint.attribution.methods.projected import ProjectedGradients
from imprint.attribution.methods.random_ranking import RandomRanking
from imprint.attribution.methods.repeated_ngrams import RepeatedNgrams
from imprint.attribution.methods.representation import RepresentationSimilarity
from imprint.attribution.methods.same_cluster import SameCluster
from imprint.attribution.methods.source import Source
from imprint.attribution.methods.tracin import TracInCP

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        RandomRanking(),
        Loss(),
        GradientNorm(),
        RepeatedNgrams(),
        BM25(),
        EmbeddingSimilarity(),
        RepresentationSimilarity(),
        SameCluster(),
        GradientDot(),
        GradientCosine(),
        TracInCP(),
        ProjectedGradients(name="TRAK"),
        ProjectedGradients(name="TrackStar", optimiser=True, unit_norm=True),
        Ekfac(),
        Source(),
        Metagradient(),
        Datamodels(),
        LeaveOneOut(),
    )
}
"""Every method with its defaults, by the name that tables call it; the cheapest first."""

__all__ = [
    "BM25",
    "METHODS",
    "Datamodels",
    "Ekfac",
    "EmbeddingSimilarity",
    "GradientCosine",
    "GradientDot",
    "GradientNorm",
    "LeaveOneOut",
    "Loss",
    "Metagradient",
    "Method",
    "Problem",
    "ProjectedGradients",
    "RandomRanking",
    "RepeatedNgrams",
    "RepresentationSimilarity",
    "SameCluster",
    "Source",
    "TracInCP",
    "expected_recovery",
    "fit_datamodels",
    "runs_needed",
]
