"""Augmentation as content-addressed steps: motifs found or given, synthetic documents and rows, and controls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from imprint.corpus.augmentation.ask import ask_motifs
from imprint.corpus.augmentation.controls import renamed, shuffled, transplanted
from imprint.corpus.augmentation.endpoint import Endpoint, Limits, Session
from imprint.corpus.augmentation.extract import Evidence, ExtractOptions, extract_motifs
from imprint.corpus.augmentation.generate import synthetic_documents, synthetic_rows
from imprint.corpus.augmentation.reading import parse_schema, read_schema, schema_json
from imprint.corpus.augmentation.repetition import Repetition
from imprint.corpus.augmentation.schema import MotifSchema
from imprint.corpus.documents import Corpus, Document
from imprint.corpus.steps import CORPUS_FILE, packed_world
from imprint.corpus.structure import LEXEME
from imprint.errors import ConfigError
from imprint.runs import Context, Step, read_json, write_json

MOTIFS_FILE = "motifs.json"
EVIDENCE_FILE = "evidence.json"
REPLY_FILE = "reply.json"
Control = Literal["renamed", "transplanted", "shuffled"]


class ExtractMotifs(Step):
    """Motifs of a corpus's documents, offline; where there is no structure, a schema without motifs and a warning."""

    documents: Step
    """What wrote the corpus, usually the documents of highest influence."""
    ids: tuple[str, ...] | None = None
    """The documents to look at; None: all."""
    options: ExtractOptions = ExtractOptions()

    def execute(self, folder: Path, context: Context) -> None:
        """Extract and save the schema and its evidence."""
        corpus = _chosen(Corpus.load(context.get(self.documents) / CORPUS_FILE), self.ids)
        found = extract_motifs([document.text for document in corpus], self.options)
        if not found.schema.motifs:
            context.warn(f"none of the {found.documents} documents share a structure; there are no motifs")
        write_json(folder / MOTIFS_FILE, schema_json(found.schema))
        evidence = [_recorded(one, corpus.documents) for one in found.evidence]
        write_json(
            folder / EVIDENCE_FILE,
            {"documents": found.documents, "structured": found.structured, "motifs": evidence},
        )


class AskMotifs(Step):
    """Motifs that a language model describes; the reply is kept, so that the same question is asked once a store.

    Address and key come from the environment and are no part of the key of the result; the model is.
    """

    documents: Step
    model: str
    """Name of the model; takes the place of IMPRINT_LLM_MODEL."""
    ids: tuple[str, ...] | None = None
    limits: Limits = Limits()
    repairs: int = Field(default=1, ge=0, le=3)

    def execute(self, folder: Path, context: Context) -> None:
        """Ask and save the schema and the reply."""
        corpus = _chosen(Corpus.load(context.get(self.documents) / CORPUS_FILE), self.ids)
        endpoint = Endpoint.from_environment_for(self.model)
        session = Session(endpoint=endpoint, limits=self.limits)
        asked = ask_motifs([document.text for document in corpus], session, repairs=self.repairs)
        write_json(folder / MOTIFS_FILE, schema_json(asked.schema))
        reply = {"model": self.model, "reply": asked.reply, "requests": asked.requests, "repaired": asked.repaired}
        write_json(folder / REPLY_FILE, reply)


class GivenMotifs(Step):
    """Motifs that somebody wrote down as JSON; they count by the file's content."""

    path: Path

    def execute(self, folder: Path, context: Context) -> None:
        """Read, check and save."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"'{self.path}' cannot be read as text ({error}); give a JSON file in UTF-8.") from error
        write_json(folder / MOTIFS_FILE, schema_json(read_schema(text, where=str(self.path))))


class SyntheticCorpus(Step):
    """Documents that a motif schema writes."""

    motifs: Step
    documents: int = Field(ge=1)
    most_characters: int = Field(default=2_000, ge=1)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Write and save."""
        schema = load_motifs(context.get(self.motifs))
        made = synthetic_documents(schema, self.documents, self.seed, most_characters=self.most_characters)
        Corpus(documents=tuple(made)).save(folder / CORPUS_FILE)


class SyntheticRows(Step):
    """Token rows that a motif schema writes, without a tokenizer; the motif of each row is its domain."""

    motifs: Step
    rows: int = Field(ge=1)
    context: int = Field(ge=8)
    """Rows have context + 1 ids, as in a planted world."""
    vocabulary: int = Field(ge=2)
    bos: bool = False
    """Begin each row with id 0 and shift the others up by one, as in a planted world."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Write and save as a packed corpus."""
        tokens, names = synthetic_rows(
            load_motifs(context.get(self.motifs)),
            self.rows,
            self.seed,
            length=self.context + 1 - int(self.bos),
            vocabulary=self.vocabulary,
            first_id=int(self.bos),
        )
        tokens = np.pad(tokens, ((0, 0), (int(self.bos), 0)))
        packed_world(tokens, names).save(folder)


class ControlCorpus(Step):
    """A corpus's documents as a control: other words, other text, or the same tokens in random order."""

    documents: Step
    control: Control
    source: Step | None = None
    """Where other words or text come from; `shuffled` needs none."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Make and save."""
        own = Corpus.load(context.get(self.documents) / CORPUS_FILE).documents
        if self.control == "shuffled":
            made = shuffled(own, self.seed)
        elif self.source is None:
            raise ConfigError(f"the control '{self.control}' takes its text from another corpus; give a source.")
        else:
            other = Corpus.load(context.get(self.source) / CORPUS_FILE).documents
            words = LEXEME.findall("\n".join(document.text for document in other))
            made = renamed(own, words, self.seed) if self.control == "renamed" else transplanted(own, other, self.seed)
        Corpus(documents=tuple(made)).save(folder / CORPUS_FILE)


def load_motifs(folder: Path) -> MotifSchema:
    """The schema that one of the steps saved."""
    return parse_schema(read_json(folder / MOTIFS_FILE), where=str(folder / MOTIFS_FILE))


def _chosen(corpus: Corpus, ids: Sequence[str] | None) -> Corpus:
    return corpus if ids is None else corpus.select(ids)


def _recorded(evidence: Evidence, documents: Sequence[Document]) -> dict[str, object]:
    return {
        "motif": evidence.motif,
        "documents": [documents[number].id for number in evidence.documents],
        "difference": evidence.difference,
        "source": _statistics(evidence.source),
        "written": _statistics(evidence.written),
    }


def _statistics(of: Repetition) -> dict[str, object]:
    return {
        "ngram_rate": of.ngram_rate,
        "compression": of.compression,
        "copied": of.copied,
        "distance_quartiles": of.quantiles(of.distances).tolist(),
        "length_quartiles": of.quantiles(of.lengths).tolist(),
    }
