"""Motifs from documents, offline: templates, trees, and tapes of copies, each kept only where it repeats as they do."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imprint.corpus.augmentation.excess import excess_copies
from imprint.corpus.augmentation.generate import synthetic_documents
from imprint.corpus.augmentation.nesting import nest_motifs
from imprint.corpus.augmentation.repetition import Repetition, copied_share, repetition
from imprint.corpus.augmentation.schema import Motif, MotifSchema
from imprint.corpus.augmentation.tapes import MOSTLY_SHARED, shared_segments, tape_motif
from imprint.corpus.augmentation.templates import template_motifs
from imprint.errors import ConfigError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractOptions:
    """When a document counts as structured, and how alike a motif must be to what it was extracted from."""

    least_documents: int = 3
    """Documents that must show a motif."""
    least_excess: float = 0.15
    """Share of a document's characters in copies, above that of its own tokens in random order (`excess_copies`)."""
    mostly_copied: float = 0.8
    """Share in copies from which on a document is structured whatever its tokens would do in random order."""
    tolerance: float = 0.1
    """Largest difference in n-gram repetition, compression and copied share between a motif's texts and its source."""
    samples: int = 40
    """Texts that a motif writes to be compared."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What one motif was extracted from and how well it imitates that."""

    motif: str
    documents: tuple[int, ...]
    """Numbers of the documents that it stands for."""
    source: Repetition
    written: Repetition
    """Of texts that the motif wrote, as long as the source's."""

    @property
    def difference(self) -> float:
        """Largest difference among n-gram repetition, compression and copied share, which are all in [0, 1]."""
        pairs = (
            (self.source.ngram_rate, self.written.ngram_rate),
            (self.source.compression, self.written.compression),
            (self.source.copied, self.written.copied),
        )
        return max(abs(source - written) for source, written in pairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """Motifs found, with their evidence; none where the documents have no structure beyond their vocabulary."""

    schema: MotifSchema
    evidence: tuple[Evidence, ...]
    structured: int
    """Documents that share a structure or repeat themselves beyond their vocabulary."""
    documents: int


def extract_motifs(texts: Sequence[str], options: ExtractOptions = ExtractOptions()) -> Extraction:
    """Motifs of the structured documents among `texts`, weighted by how many documents each stands for.

    A document is structured if it shares trees or line templates with others, or if it repeats itself beyond its
    vocabulary. A tree or template whose texts do not repeat themselves as its source does is replaced by tapes, which
    have the source's copies exactly.

    What all documents share stays constant (boilerplate); what only recurs within a document becomes fresh in every
    document that is written (novel repeats).

    Trust: with few documents the two cannot be told apart. A tape imitates the places of copies and the frequencies of
    tokens, not what is said. Long texts repeat more: compare and extract from texts of one length.

    Raises:
        ConfigError: `least_documents` below 2.
    """
    if options.least_documents < 2:
        raise ConfigError(f"least_documents={options.least_documents}: a motif is what 2 documents or more share.")
    found = [_evidence(motif, texts, members, options) for motif, members in _candidates(texts, options)]
    kept = [one for one in found if one[1].difference <= options.tolerance]
    for motif, evidence in found:
        if evidence.difference > options.tolerance:
            _log.info("motif %s repeats itself unlike its source (%.2f): tapes", motif.name, evidence.difference)
    covered = {number for _, evidence in kept for number in evidence.documents}
    rest = [number for number, text in enumerate(texts) if number not in covered and _repeats_itself(text, options)]
    kept += _tapes(texts, rest, options)
    return Extraction(
        schema=MotifSchema(motifs=tuple(motif for motif, _ in kept)),
        evidence=tuple(evidence for _, evidence in kept),
        structured=len(covered) + len(rest),
        documents=len(texts),
    )


def _repeats_itself(text: str, options: ExtractOptions) -> bool:
    copied = copied_share(text)
    if copied < options.least_excess:
        return False
    return copied >= options.mostly_copied or excess_copies(text, seed=options.seed) >= options.least_excess


def _candidates(texts: Sequence[str], options: ExtractOptions) -> list[tuple[Motif, list[int]]]:
    """Trees first, then templates among what is left; members are numbers of `texts`."""
    nested = nest_motifs(texts, least_documents=options.least_documents)
    taken = {number for _, members in nested for number in members}
    rest = [number for number in range(len(texts)) if number not in taken]
    lined = template_motifs([texts[number] for number in rest], least_documents=options.least_documents)
    return [*nested, *((motif, [rest[place] for place in members]) for motif, members in lined)]


def _tapes(texts: Sequence[str], rest: Sequence[int], options: ExtractOptions) -> list[tuple[Motif, Evidence]]:
    """What no template covers: documents made of common segments, and documents that repeat segments of their own.

    Common segments are kept only where they do not add repetition of their own.
    """
    shared = shared_segments([texts[number] for number in rest])
    common = [number for number, share in zip(rest, shared, strict=True) if share >= MOSTLY_SHARED]
    kept: list[tuple[Motif, Evidence]] = []
    if len(common) >= options.least_documents:
        segments = tape_motif([texts[number] for number in common], name="boilerplate", keep_segments=True)
        kept = [one for one in [_evidence(segments, texts, common, options)] if one[1].difference <= options.tolerance]
    own = [number for number in rest if not kept or number not in common]
    if len(own) >= options.least_documents:
        kept.append(_evidence(tape_motif([texts[number] for number in own]), texts, own, options))
    return kept


def _evidence(
    motif: Motif, texts: Sequence[str], members: Sequence[int], options: ExtractOptions
) -> tuple[Motif, Evidence]:
    source = [texts[number] for number in members]
    cap = int(np.ceil(np.quantile([len(text) for text in source], 0.95)))
    alone = MotifSchema(motifs=(motif,))
    written = synthetic_documents(alone, options.samples, options.seed, most_characters=cap)
    return motif, Evidence(
        motif=motif.name,
        documents=tuple(members),
        source=repetition(source),
        written=repetition([document.text for document in written]),
    )
