"""Clusters of documents and tokens: given domains, topics, dense regions of activations, and what each consists of."""

from imprint.corpus.clusters.annotation import (
    AnnotationReport,
    ClusterVerdict,
    annotation_report,
    read_labels,
)
from imprint.corpus.clusters.annotation_sheet import (
    SHEET_CSV,
    SHEET_HTML,
    SHEET_KEY,
    Sheet,
    SheetItem,
    SheetOptions,
    document_excerpts,
    draw_sheet,
)
from imprint.corpus.clusters.characterise import ClusterCharacter, character_table, characterise
from imprint.corpus.clusters.clustering import NOISE_LABEL, Cluster, Clustering, ClusterUnit, from_names
from imprint.corpus.clusters.coherence import npmi, topic_coherence
from imprint.corpus.clusters.cores import Cores
from imprint.corpus.clusters.dbcv import dbcv
from imprint.corpus.clusters.dbscan import Dbscan, dbscan
from imprint.corpus.clusters.discourse import DISCOURSE_MARKERS
from imprint.corpus.clusters.distinctive import DistinctiveWord, distinctive_words, log_odds
from imprint.corpus.clusters.domains import domains
from imprint.corpus.clusters.encoder import Encoder, encoder_folder, load_encoder
from imprint.corpus.clusters.entities import ENTITY_RULES
from imprint.corpus.clusters.epsilon import EpsCandidate, EpsReport, epsilon_report, k_distances, knees
from imprint.corpus.clusters.measures import MEASURES, Measure
from imprint.corpus.clusters.quality import ClusterQuality, cluster_quality
from imprint.corpus.clusters.sampled import SampledDbscan, sampled_dbscan
from imprint.corpus.clusters.standardise import Standardiser
from imprint.corpus.clusters.steps import (
    CHARACTER_RECORDS,
    CHARACTER_TABLE,
    ByBertopic,
    ByDomain,
    ByLda,
    CharacteriseClusters,
    ClusterDocuments,
    ClusterMethod,
    CorpusSample,
    ValidationSheet,
)
from imprint.corpus.clusters.task_filter import TaskFilter, filter_by_heads
from imprint.corpus.clusters.token_character import TokenClusterCharacter, characterise_tokens, token_excerpts
from imprint.corpus.clusters.tokens import TokenClusters, cluster_tokens, load_assigner
from imprint.corpus.clusters.topics import bertopic_topics, lda_topics

__all__ = [
    "CHARACTER_RECORDS",
    "CHARACTER_TABLE",
    "DISCOURSE_MARKERS",
    "ENTITY_RULES",
    "MEASURES",
    "NOISE_LABEL",
    "SHEET_CSV",
    "SHEET_HTML",
    "SHEET_KEY",
    "AnnotationReport",
    "ByBertopic",
    "ByDomain",
    "ByLda",
    "CharacteriseClusters",
    "Cluster",
    "ClusterCharacter",
    "ClusterDocuments",
    "ClusterMethod",
    "ClusterQuality",
    "ClusterUnit",
    "ClusterVerdict",
    "Clustering",
    "Cores",
    "CorpusSample",
    "Dbscan",
    "DistinctiveWord",
    "Encoder",
    "EpsCandidate",
    "EpsReport",
    "Measure",
    "SampledDbscan",
    "Sheet",
    "SheetItem",
    "SheetOptions",
    "Standardiser",
    "TaskFilter",
    "TokenClusterCharacter",
    "TokenClusters",
    "ValidationSheet",
    "annotation_report",
    "bertopic_topics",
    "character_table",
    "characterise",
    "characterise_tokens",
    "cluster_quality",
    "cluster_tokens",
    "dbcv",
    "dbscan",
    "distinctive_words",
    "document_excerpts",
    "domains",
    "draw_sheet",
    "encoder_folder",
    "epsilon_report",
    "filter_by_heads",
    "from_names",
    "k_distances",
    "knees",
    "lda_topics",
    "load_assigner",
    "load_encoder",
    "log_odds",
    "npmi",
    "read_labels",
    "sampled_dbscan",
    "token_excerpts",
    "topic_coherence",
]
