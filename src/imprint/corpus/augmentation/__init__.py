"""Mechanistic data augmentation: motifs of influential documents, data written from them, and its controls.

parts, schema     the grammar: generators as data, motifs, all sizes capped
reading           JSON to a schema, every mistake in one sentence
generate          documents and token rows from a schema (`interpret` runs the grammar, `alphabets` draws the values)
repetition        how a text repeats itself: factors, and statistics of them; `excess` over its own tokens shuffled
extract           motifs offline: trees (`nesting`), templates (`lines`, `templates`), tapes of copies (`tapes`)
ask               motifs by asking a model (`endpoint` talks to it)
controls          the same repetition in other words, the same words without the repetition
steps             all of it content-addressed
"""

from imprint.corpus.augmentation.ask import Asked, ask_motifs
from imprint.corpus.augmentation.controls import renamed, renamed_rows, shuffled, shuffled_rows, transplanted
from imprint.corpus.augmentation.endpoint import Endpoint, EndpointError, Limits, Session
from imprint.corpus.augmentation.excess import excess_copies
from imprint.corpus.augmentation.extract import Evidence, Extraction, ExtractOptions, extract_motifs
from imprint.corpus.augmentation.generate import synthetic_documents, synthetic_rows
from imprint.corpus.augmentation.reading import parse_schema, read_schema, schema_json
from imprint.corpus.augmentation.repetition import Factor, Repetition, factorise, repetition
from imprint.corpus.augmentation.schema import Motif, MotifSchema
from imprint.corpus.augmentation.steps import (
    EVIDENCE_FILE,
    MOTIFS_FILE,
    REPLY_FILE,
    AskMotifs,
    ControlCorpus,
    ExtractMotifs,
    GivenMotifs,
    SyntheticCorpus,
    SyntheticRows,
    load_motifs,
)
from imprint.corpus.augmentation.tapes import shared_segments, tape_motif

__all__ = [
    "EVIDENCE_FILE",
    "MOTIFS_FILE",
    "REPLY_FILE",
    "AskMotifs",
    "Asked",
    "ControlCorpus",
    "Endpoint",
    "EndpointError",
    "Evidence",
    "ExtractMotifs",
    "ExtractOptions",
    "Extraction",
    "Factor",
    "GivenMotifs",
    "Limits",
    "Motif",
    "MotifSchema",
    "Repetition",
    "Session",
    "SyntheticCorpus",
    "SyntheticRows",
    "ask_motifs",
    "excess_copies",
    "extract_motifs",
    "factorise",
    "load_motifs",
    "parse_schema",
    "read_schema",
    "renamed",
    "renamed_rows",
    "repetition",
    "schema_json",
    "shared_segments",
    "shuffled",
    "shuffled_rows",
    "synthetic_documents",
    "synthetic_rows",
    "tape_motif",
    "transplanted",
]
