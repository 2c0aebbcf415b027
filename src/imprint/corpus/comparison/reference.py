"""One number a condition from its text alone: how far it lies from a reference text, or from the other conditions."""

from pathlib import Path
from typing import Final

import numpy as np
from pydantic import Field

from imprint.corpus.comparison.divergences import divergence, divergence_from_rest
from imprint.corpus.comparison.ngrams import ngram_counts, surface_tokens
from imprint.corpus.documents import Corpus
from imprint.corpus.steps import CORPUS_FILE
from imprint.errors import CorpusError
from imprint.runs import Context, Step, write_json

SURFACE_SCALARS: Final = (
    "js1.reference",
    "js2.reference",
    "kl1.to_reference",
    "kl1.from_reference",
    "js1.rest",
    "js2.rest",
    "length",
)
"""Divergences in bits on unigrams (1) or bigrams (2); KL from the condition to the reference or back; tokens a document."""
SURFACE_FILE = "surface.json"


def surface_scalars(corpus: Corpus, reference: Corpus | None, *, smoothing: float = 0.5) -> dict[str, dict[str, float]]:
    """For each scalar its value by domain of the corpus; those against the reference only where there is one.

    All counts are taken over the vocabulary that corpus and reference have together.

    Raises:
        CorpusError: fewer than two domains, or a domain or reference without an n-gram.

    Trust: a plug-in divergence is larger for smaller corpora: compare conditions of equal size, or read `js*` first.
    """
    names = corpus.domains
    found: dict[str, dict[str, float]] = {}
    for n in (1, 2):
        rest = divergence_from_rest(corpus, n=n, smoothing=smoothing)
        found[f"js{n}.rest"] = {name: rest[name].js for name in names}
        if reference is not None:
            found |= _against(corpus, reference, n, smoothing)
    sizes = {name: [len(surface_tokens(one.text)) for one in corpus if one.domain == name] for name in names}
    found["length"] = {name: float(np.mean(counts)) for name, counts in sizes.items()}
    return {name: found[name] for name in SURFACE_SCALARS if name in found}


def _against(corpus: Corpus, reference: Corpus, n: int, smoothing: float) -> dict[str, dict[str, float]]:
    documents = [*corpus, *reference]
    table = ngram_counts([one.text for one in documents], n=n)
    owner = np.array([one.domain for one in corpus] + [""] * len(reference))
    other = table.totals(np.flatnonzero(owner == ""))
    found: dict[str, dict[str, float]] = {f"js{n}.reference": {}}
    if n == 1:
        found |= {"kl1.to_reference": {}, "kl1.from_reference": {}}
    for name in corpus.domains:
        own = table.totals(np.flatnonzero(owner == name))
        if not own.sum() or not other.sum():
            raise CorpusError(f"'{name}' or the reference has no {n} token(s) in a row; give more text.")
        values = divergence(own, other, smoothing=smoothing)
        found[f"js{n}.reference"][name] = values.js
        if n == 1 and values.kl_forward is not None and values.kl_backward is not None:
            found["kl1.to_reference"][name] = values.kl_forward
            found["kl1.from_reference"][name] = values.kl_backward
    return found


class SurfaceScalars(Step):
    """The surface scalars of every domain of a corpus, in `surface.json` (see `surface_scalars`)."""

    corpus: Step
    reference: Step | None = None
    """The text that all conditions meet later, such as the last stage's; None: only what needs no reference."""
    smoothing: float = Field(default=0.5, gt=0)

    def execute(self, folder: Path, context: Context) -> None:
        """Count, compare and save."""
        reference = None if self.reference is None else Corpus.load(context.get(self.reference) / CORPUS_FILE)
        corpus = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        write_json(folder / SURFACE_FILE, surface_scalars(corpus, reference, smoothing=self.smoothing))
