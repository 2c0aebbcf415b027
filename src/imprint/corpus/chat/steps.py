"""Chat corpora as content-addressed steps: read with every problem kept, and rendered for one tokenizer."""

from dataclasses import asdict
from pathlib import Path

from pydantic import Field
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from imprint.corpus.chat.conversations import ROLES, Role, conversations_as_corpus
from imprint.corpus.chat.preference_rows import preference_rows
from imprint.corpus.chat.preferences import read_preferences
from imprint.corpus.chat.reading import ChatReading, read_conversations
from imprint.corpus.chat.rows import chat_rows
from imprint.corpus.documents import Corpus, Document
from imprint.corpus.steps import CORPUS_FILE, TOKENIZER_FOLDER
from imprint.corpus.tokenizer import byte_tokenizer
from imprint.errors import ConfigError, CorpusError
from imprint.runs import Context, Step, write_json

PROBLEMS_FILE = "problems.json"


class ChatFiles(Step):
    """What steps on chat corpora share: the files, which count by their name and content."""

    paths: tuple[Path, ...] = Field(min_length=1)
    domain_key: str | None = None
    """Key of a line that names its condition; None: the file's stem."""
    strict: bool = False
    """Refuse the files for a single malformed or empty conversation; False: list and warn."""

    def read(self, folder: Path, context: Context) -> ChatReading:
        """The conversations; problems are written to `problems.json` and warned of."""
        reading = read_conversations(self.paths, domain_key=self.domain_key, strict=self.strict)
        counts = {"lines": reading.lines, "conversations": len(reading.conversations), "blank": reading.blank}
        write_json(folder / PROBLEMS_FILE, counts | {"problems": [asdict(problem) for problem in reading.problems]})
        if reading.problems:
            context.warn(reading.summary())
        return reading


class ChatCorpus(ChatFiles):
    """Conversations as documents (`corpus.jsonl`) for every step that reads a corpus, with `problems.json`."""

    roles: tuple[Role, ...] = ROLES
    """Whose messages count."""

    def execute(self, folder: Path, context: Context) -> None:
        """Read and save."""
        reading = self.read(folder, context)
        conversations_as_corpus(reading.conversations, roles=self.roles).save(folder / CORPUS_FILE)


class ConditionCorpora(Step):
    """The chat corpora of several conditions as one corpus whose domains are the conditions' names."""

    names: tuple[str, ...] = Field(min_length=1)
    parts: tuple[Step, ...] = Field(min_length=1)
    """One a name: steps that leave a corpus."""

    def execute(self, folder: Path, context: Context) -> None:
        """Join and save; ids are `name/id`, so that the same conversation may stand in several conditions."""
        joined = [
            Document(id=f"{name}/{one.id}", text=one.text, domain=name)
            for name, part in zip(self.names, self.parts, strict=True)
            for one in Corpus.load(context.get(part) / CORPUS_FILE)
        ]
        Corpus(documents=tuple(joined)).save(folder / CORPUS_FILE)


class EvaluationItems(Step):
    """Preference pairs as documents, prompt and chosen answer, for the search of evaluation items in training text."""

    pairs: tuple[Path, ...] = Field(min_length=1)

    def execute(self, folder: Path, context: Context) -> None:
        """Read and save."""
        chosen = [pair.chosen for pair in read_preferences(self.pairs).pairs]
        conversations_as_corpus(chosen).save(folder / CORPUS_FILE)


class RenderedChats(ChatFiles):
    """Conversations as rows with masked prompts (see `ChatRows.load`), with the tokenizer and `problems.json`."""

    context: int = Field(ge=8)
    tokenizer: Path | None = None
    """The folder of a tokenizer that transformers can load (it counts by its content); None: one token a byte."""

    def execute(self, folder: Path, context: Context) -> None:
        """Read, render and save; conversations that are cut or have no row are warned of."""
        tokenizer = byte_tokenizer() if self.tokenizer is None else _tokenizer(self.tokenizer)
        rows = chat_rows(self.read(folder, context).conversations, tokenizer, context=self.context)
        if rows.truncated:
            context.warn(f"{len(rows.truncated)} conversations are cut at {self.context} tokens")
        if rows.without_answer:
            context.warn(
                f"{len(rows.without_answer)} conversations have no answer within {self.context} tokens: no row"
            )
        rows.save(folder)
        tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)


class RenderedPreferences(Step):
    """Preference pairs as rows of both answers (see `PreferenceRows.load`), with the tokenizer and `problems.json`."""

    paths: tuple[Path, ...] = Field(min_length=1)
    domain_key: str | None = None
    """Key of a line that names its condition; None: the file's stem."""
    strict: bool = False
    """Refuse the files for a single malformed pair, or one whose prompt is too long; False: list and warn."""
    context: int = Field(ge=8)
    tokenizer: Path | None = None
    """The folder of a tokenizer that transformers can load (it counts by its content); None: one token a byte."""

    def execute(self, folder: Path, context: Context) -> None:
        """Read, render and save; pairs that are cut or have no row are warned of."""
        reading = read_preferences(self.paths, domain_key=self.domain_key, strict=self.strict)
        counts = {"lines": reading.lines, "pairs": len(reading.pairs), "blank": reading.blank}
        write_json(folder / PROBLEMS_FILE, counts | {"problems": [asdict(problem) for problem in reading.problems]})
        if reading.problems:
            context.warn(reading.summary())
        tokenizer = byte_tokenizer() if self.tokenizer is None else _tokenizer(self.tokenizer)
        rows = preference_rows(reading.pairs, tokenizer, context=self.context)
        self._report(len(rows.truncated), rows.without_answer, context)
        rows.save(folder)
        tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)

    def _report(self, truncated: int, without_answer: tuple[str, ...], context: Context) -> None:
        if truncated:
            context.warn(f"{truncated} pairs have an answer that is cut at {self.context} tokens")
        if without_answer:
            sentence = (
                f"the prompts of {len(without_answer)} pairs leave no room for an answer within {self.context} tokens:"
                f" no row (first: '{without_answer[0]}')"
            )
            if self.strict:
                raise CorpusError(f"{sentence}; raise context or remove them")
            context.warn(sentence)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no tokenizer can be loaded from '{folder}': {str(error).splitlines()[0]}") from error
    return tokenizer
