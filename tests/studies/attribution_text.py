"""A small corpus of invented documents, and the natural-text world on it, small enough to be retrained in a test."""

import json

import numpy as np

from imprint.corpus import FileCorpus
from imprint.studies.attribution_retrainings import RetrainingPlan
from imprint.studies.attribution_rows import ClusteredText
from imprint.studies.attribution_world import NaturalWorld

PLAN = RetrainingPlan(subsets=6, dropped=1, seeds=2, datamodel_runs=6)


def corpus(folder, documents=12, domains=2):
    """A file of documents, each with words of its own."""
    generator = np.random.default_rng(0)
    path = folder / "corpus.jsonl"
    with path.open("w") as file:
        for number in range(documents):
            words = ["".join(generator.choice(list("abcdefgh"), 4)) for _ in range(6)]
            text = " ".join(generator.choice(words, 60))
            file.write(json.dumps({"text": text, "kind": f"kind {number % domains}"}) + "\n")
    return FileCorpus(paths=(path,), domain_key="kind")


def clustered(folder, **fields):
    sizes = {"documents": 4, "passages": 3, "queries": 3, "planted": 2, "copies": 2, "context": 24}
    return ClusteredText(base=corpus(folder), **(sizes | fields))


def small_world(folder, **fields):
    return NaturalWorld(text=clustered(folder), **({"epochs": 2, "batch": 4, "background_steps": 3} | fields))
