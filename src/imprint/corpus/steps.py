"""The corpus as content-addressed steps: collected or read, planted, cut, packed, and put in training order."""

import shutil
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from imprint.corpus.collect import collect_machine_text
from imprint.corpus.documents import Corpus
from imprint.corpus.packing import Packed, join, pack
from imprint.corpus.passages import passages
from imprint.corpus.planted import boilerplate, novel_repeats
from imprint.corpus.readers import read_corpus
from imprint.corpus.stream import shuffled_stream
from imprint.corpus.tokenizer import byte_tokenizer
from imprint.corpus.worlds import PlantedWorld
from imprint.errors import ConfigError, CorpusError
from imprint.runs import Context, Step, derive

CORPUS_FILE = "corpus.jsonl"
TOKENIZER_FOLDER = "tokenizer"
Part = Literal["train", "heldout"]


class MachineCorpus(Step):
    """Real text in natural domains found on this machine: collected once a store, and what was found is kept there."""

    bytes_per_domain: int = Field(default=1_000_000, ge=10_000)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Collect and save the corpus."""
        found = collect_machine_text(bytes_per_domain=self.bytes_per_domain, seed=self.seed, warn=context.warn)
        found.save(folder / CORPUS_FILE)


class FileCorpus(Step):
    """A corpus read from files or folders; they count by their content, so a changed file is another corpus."""

    paths: tuple[Path, ...]
    text_key: str = "text"
    domain_key: str | None = None

    def execute(self, folder: Path, context: Context) -> None:
        """Read the files and save them as one corpus."""
        read_corpus(self.paths, text_key=self.text_key, domain_key=self.domain_key).save(folder / CORPUS_FILE)


class TrainingCorpus(Step):
    """One part of a corpus, cut into passages of about one context each, with planted domains added.

    Source documents, not passages, are divided between training and held-out parts. Planted shares are of all documents.
    """

    base: Step
    part: Part
    documents: int = Field(ge=100)
    passage_bytes: int = Field(default=64, ge=16)
    novel_repeats: float = Field(default=0.3, ge=0, lt=1)
    boilerplate: float = Field(default=0.1, ge=0, lt=1)
    heldout_fraction: float = Field(default=0.1, gt=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _shares_leave_room(self) -> "TrainingCorpus":
        if self.novel_repeats + self.boilerplate >= 1:
            planted = f"{self.novel_repeats} novel repeats and {self.boilerplate} boilerplate"
            raise ValueError(f"shares of {planted} leave no room for natural text; they must add to less than 1")
        return self

    def execute(self, folder: Path, context: Context) -> None:
        """Divide, cut, plant and save; a domain with no document in this part is warned of."""
        mine = self._divided(Corpus.load(context.get(self.base) / CORPUS_FILE), context)
        novel, fixed = (round(self.documents * share) for share in (self.novel_repeats, self.boilerplate))
        natural = passages(
            mine,
            most_bytes=self.passage_bytes,
            per_domain=self._per_domain(self.documents - novel - fixed, len(mine.domains)),
            seed=derive(self.seed, self.part),
        )
        generator = np.random.default_rng(derive(self.seed, "planted", self.part))
        planted = [
            *novel_repeats(novel, self.passage_bytes, generator),
            *boilerplate(fixed, self.passage_bytes, generator),
        ]
        natural.extended(planted).save(folder / CORPUS_FILE)

    def _divided(self, whole: Corpus, context: Context) -> Corpus:
        mine = Corpus(documents=tuple(document for document in whole if self._belongs(document.id)))
        if len(mine) == 0:
            raise CorpusError(
                f"none of the {len(whole)} documents falls into the {self.part} part; add documents, or cut long ones"
            )
        for domain in sorted(set(whole.domains) - set(mine.domains)):
            context.warn(f"domain '{domain}' has no document in the {self.part} part, so it is missing there")
        return mine

    def _per_domain(self, documents: int, domains: int) -> int:
        if documents < domains:
            raise ConfigError(
                f"{documents} natural documents cannot be shared by {domains} domains; ask for more documents"
            )
        return documents // domains

    def _belongs(self, name: str) -> bool:
        held_out = derive(self.seed, "split", name) % 10_000 < self.heldout_fraction * 10_000
        return held_out == (self.part == "heldout")


class WithoutDomains(Step):
    """A corpus without the documents of some domains."""

    corpus: Step
    domains: tuple[str, ...]

    def execute(self, folder: Path, context: Context) -> None:
        """Leave them out and save."""
        whole = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        kept = tuple(document for document in whole if document.domain not in self.domains)
        if not kept:
            raise CorpusError(f"nothing is left of the corpus without its domains {', '.join(self.domains)}")
        Corpus(documents=kept).save(folder / CORPUS_FILE)


class PackedCorpus(Step):
    """A corpus as rows of tokens for one tokenizer and context."""

    corpus: Step
    context: int = Field(ge=8)
    tokenizer: Path | None = None
    """The folder of a tokenizer that transformers can load (it counts by its content); None: one token a byte."""

    def execute(self, folder: Path, context: Context) -> None:
        """Tokenise, pack and save."""
        tokenizer = byte_tokenizer() if self.tokenizer is None else _tokenizer(self.tokenizer)
        pack(Corpus.load(context.get(self.corpus) / CORPUS_FILE), tokenizer, context=self.context).save(folder)
        tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)


class JoinedPacked(Step):
    """Several packed corpora as one; rows of the first keep their indices, so its streams can be edited to show the others."""

    parts: tuple[Step, ...] = Field(min_length=1)

    def execute(self, folder: Path, context: Context) -> None:
        """Join and save, with the tokenizer of the first part if it has one."""
        folders = [context.get(part) for part in self.parts]
        join([Packed.load(each) for each in folders]).save(folder)
        if (folders[0] / TOKENIZER_FOLDER).is_dir():
            shutil.copytree(folders[0] / TOKENIZER_FOLDER, folder / TOKENIZER_FOLDER, dirs_exist_ok=True)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no tokenizer can be loaded from '{folder}': {str(error).splitlines()[0]}") from error
    return tokenizer


class WorldRows(Step):
    """Rows sampled from a planted world; the kind of each row is its domain, so the truth travels with the data."""

    world: PlantedWorld
    rows: int = Field(ge=1)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Sample and save as a packed corpus."""
        tokens, kinds = self.world.sample(self.rows, self.seed)
        packed_world(tokens, kinds).save(folder)


def packed_world(tokens: np.ndarray, kinds: np.ndarray) -> Packed:
    """World rows as a packed corpus in which every row is its own document and its kind is the domain."""
    rows, width = tokens.shape
    return Packed(
        tokens=tokens.astype(np.int64),
        lengths=np.full(rows, width - 1, dtype=np.int64),
        document=np.arange(rows, dtype=np.int64),
        offsets=np.zeros((rows, width, 2), dtype=np.int64),
        document_ids=tuple(f"{kind}/{number:06d}" for number, kind in enumerate(kinds)),
        domains=tuple(str(kind) for kind in kinds),
    )


class ShuffledStream(Step):
    """The ordered training stream: whole epochs, each a fresh permutation of all rows."""

    packed: Step
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    seed: int

    def execute(self, folder: Path, context: Context) -> None:
        """Draw and save the order."""
        rows = len(Packed.load(context.get(self.packed)))
        seed = derive(self.seed, "order")
        shuffled_stream(rows, steps=self.steps, batch=self.batch, seed=seed).save(folder)
