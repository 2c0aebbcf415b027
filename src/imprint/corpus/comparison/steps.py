"""Comparison of corpora as content-addressed steps: surface differences, and evaluation items found in training."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Int
from pydantic import Field

from imprint.corpus.comparison.classifier import classify_corpora
from imprint.corpus.comparison.contamination import find_contamination
from imprint.corpus.comparison.divergences import corpus_divergences, divergence_from_rest
from imprint.corpus.comparison.duplicates import duplicate_groups
from imprint.corpus.documents import Corpus
from imprint.corpus.steps import CORPUS_FILE
from imprint.runs import Context, Step, write_json

DIVERGENCES_FILE, CLASSIFIER_FILE = "divergences.json", "classifier.json"
MATCHES_FILE, CONTAMINATION_FILE = "matches.json", "contamination.json"


class CompareSurface(Step):
    """What the words of each domain of a corpus give away: `divergences.json` and `classifier.json`."""

    corpus: Step
    group_by: Step | None = None
    """A corpus with the same ids (the prompts alone, say): documents whose texts there are duplicates share a fold."""
    ngrams: tuple[int, ...] = (1, 2)
    smoothing: float = Field(default=0.5, gt=0)
    draws: int = Field(default=200, ge=20)
    folds: int = Field(default=5, ge=2)
    permutations: int = Field(default=100, ge=0)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Compare and save."""
        corpus = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        pairs = [
            pair
            for n in self.ngrams
            for pair in corpus_divergences(corpus, seed=self.seed, n=n, smoothing=self.smoothing, draws=self.draws)
        ]
        rest = {n: divergence_from_rest(corpus, n=n, smoothing=self.smoothing) for n in self.ngrams}
        found = {
            "pairs": [asdict(pair) for pair in pairs],
            "from_rest": [
                {"n": n, "domain": domain, **asdict(one)} for n, each in rest.items() for domain, one in each.items()
            ],
        }
        write_json(folder / DIVERGENCES_FILE, found)
        classifier = classify_corpora(
            corpus,
            seed=self.seed,
            folds=self.folds,
            permutations=self.permutations,
            groups=self._groups(corpus, context),
            advance=context.advance,
        )
        if classifier.unconverged:
            context.warn(f"{classifier.unconverged} of {self.folds} fits of the bag of tokens did not converge")
        write_json(folder / CLASSIFIER_FILE, asdict(classifier))

    def _groups(self, corpus: Corpus, context: Context) -> Int[np.ndarray, "document"] | None:
        if self.group_by is None:
            return None
        texts = Corpus.load(context.get(self.group_by) / CORPUS_FILE).select(corpus.ids)
        return duplicate_groups([document.text for document in texts])


class FindContamination(Step):
    """Evaluation items found in a training corpus: the list, `matches.json`, and what follows, `contamination.json`."""

    items: Step
    training: Step
    threshold: float = Field(default=0.7, gt=0.3, le=1)
    min_words: int = Field(default=8, ge=3)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Search and save; matches are warned of."""
        items, training = (Corpus.load(context.get(step) / CORPUS_FILE) for step in (self.items, self.training))
        found = find_contamination(
            items,
            training,
            seed=self.seed,
            threshold=self.threshold,
            min_words=self.min_words,
            advance=context.advance,
        )
        described = asdict(found)
        write_json(folder / MATCHES_FILE, described.pop("matches"))
        write_json(folder / CONTAMINATION_FILE, described)
        if found.matches:
            first, names = found.matches[0], {match.item for match in found.matches}
            context.warn(
                f"{len(names)} of {len(items)} evaluation items stand in the training corpus, "
                f"first {first.item!r} in {first.document!r} ({first.kind}); evaluate on the clean items"
            )
        if found.unjudged:
            context.warn(f"{len(found.unjudged)} evaluation items are too short or formulaic to look for")
