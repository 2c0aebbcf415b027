"""Short passages cut from longer documents, so that one training row is one document."""

from collections.abc import Iterator

import numpy as np

from imprint.corpus.documents import Corpus, Document
from imprint.errors import ConfigError, CorpusError


def passages(corpus: Corpus, *, most_bytes: int, per_domain: int, seed: int, at_least: int | None = None) -> Corpus:
    """`per_domain` random passages of every domain, consecutive pieces of at most `most_bytes` bytes of UTF-8.

    With `at_least`, a domain that has fewer gives all it has, down to that many.

    Ids are `<document id>#<character offset>`. Only the last piece of a document is shorter; a piece of which less than
    a third of `most_bytes` is left without the white space around it is dropped.

    Raises:
        ConfigError: `most_bytes` is below 4, too short for one character.
        CorpusError: a domain has fewer passages than asked for.
    """
    if most_bytes < 4:
        raise ConfigError(f"a passage of {most_bytes} bytes cannot hold every character; use at least 4")
    chosen: list[Document] = []
    for number, (domain, documents) in enumerate(corpus.by_domain().items()):
        pieces = [piece for document in documents for piece in _cut(document, most_bytes)]
        wanted = per_domain if at_least is None else min(per_domain, at_least)
        if len(pieces) < wanted:
            raise CorpusError(
                f"domain '{domain}' gives {len(pieces)} passages of {most_bytes} bytes but {wanted} are asked for;"
                " collect more text or ask for fewer passages"
            )
        order = np.random.default_rng([seed, number]).permutation(len(pieces))[:per_domain]
        chosen.extend(pieces[index] for index in np.sort(order))
    return Corpus(documents=tuple(chosen))


def _cut(document: Document, most_bytes: int) -> Iterator[Document]:
    start = 0
    while start < len(document.text):
        end = _end(document.text, start, most_bytes)
        text = document.text[start:end]
        if len(text.strip().encode("utf-8")) >= most_bytes // 3:
            name = f"{document.id}#{start}"
            yield Document(id=name, text=text, domain=document.domain, source=document.source)
        start = end


def _end(text: str, start: int, most_bytes: int) -> int:
    end = min(len(text), start + most_bytes)
    while len(text[start:end].encode("utf-8")) > most_bytes:
        end -= 1
    return end
