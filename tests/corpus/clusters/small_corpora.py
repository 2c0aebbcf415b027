"""Small corpora whose clusters are known."""

import numpy as np

from imprint.corpus import Corpus, Document

SUBJECTS = {
    "cooking": [
        "oven",
        "butter",
        "flour",
        "sugar",
        "recipe",
        "whisk",
        "simmer",
        "dough",
        "spice",
        "pan",
        "bake",
        "salt",
    ],
    "sailing": ["anchor", "harbour", "sail", "mast", "rudder", "tide", "keel", "rope", "storm", "crew", "deck", "wind"],
    "music": [
        "violin",
        "chord",
        "melody",
        "rhythm",
        "tempo",
        "concert",
        "piano",
        "string",
        "singer",
        "tune",
        "note",
        "drum",
    ],
}


def subjects(per_subject=20, words=40, seed=0) -> Corpus:
    """Documents of random words of one subject each; the domain is the subject."""
    generator = np.random.default_rng(seed)
    documents = []
    for number in range(per_subject):
        for subject, vocabulary in SUBJECTS.items():
            text = " ".join(generator.choice(vocabulary, words)) + "."
            documents.append(Document(id=f"{subject}-{number}", text=text, domain=subject))
    return Corpus(documents=tuple(documents))


def written(corpus: Corpus, path):
    """The corpus as a JSONL file."""
    corpus.save(path)
    return path
