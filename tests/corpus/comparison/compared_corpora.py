"""Small corpora whose differences are known."""

import numpy as np

from imprint.corpus import Corpus, Document


def words(generator: np.random.Generator, count: int, vocabulary: int, prefix: str = "w") -> str:
    return " ".join(f"{prefix}{number}" for number in generator.integers(0, vocabulary, count))


def corpora(**texts: list[str]) -> Corpus:
    """One domain for each list of texts."""
    return Corpus(
        documents=tuple(
            Document(id=f"{domain}/{number}", text=text, domain=domain)
            for domain, listed in texts.items()
            for number, text in enumerate(listed)
        )
    )


def noise(seed: int, documents: int, *, count: int = 20, vocabulary: int = 60) -> list[str]:
    generator = np.random.default_rng(seed)
    return [words(generator, count, vocabulary) for _ in range(documents)]
