"""Attribution as content-addressed steps: influence of training rows on a head, and the rows that it ranks highest."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from imprint.attribution.engine.ekfac import EkfacOptions
from imprint.attribution.engine.selections import HeadParts
from imprint.attribution.head import HeadMechanism, attribute_head
from imprint.attribution.rankings import CONSENSUS, ranking
from imprint.capabilities import RepeatProbe, ordinary_tokens, repeat_probe
from imprint.corpus import CORPUS_FILE, Corpus, Document, Packed
from imprint.errors import ConfigError
from imprint.interventions.data import ROWS_FILE
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Train, load_model, load_tokenizer, open_checkpoint
from imprint.runs import Context, Step
from imprint.stats.samples import top_count


class Attribution(Step):
    """EK-FAC influence of every row on one head of a run's checkpoint, with every cheap baseline beside it."""

    run: Train
    step: int
    packed: Step
    head: str
    parts: HeadParts = "qkvo"
    probe: ProbeOptions = ProbeOptions()
    options: EkfacOptions = EkfacOptions()
    mechanism: HeadMechanism = "induction"
    mutant: bool = False
    """Also score with the published off-by-one probe, which must fail (calibration only)."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Score, check and save (see `HeadAttribution.save`)."""
        torch.set_num_threads(1)
        packed = Packed.load(context.get(self.packed))
        attribute_head(
            open_checkpoint(context.get(self.run), self.step),
            packed,
            self.head,
            self.probe.build(packed.context)[0],
            parts=self.parts,
            mechanism=self.mechanism,
            options=self.options,
            mutant=self.mutant,
            seed=self.seed,
            advance=context.advance,
        ).save(folder)


class AttributeModel(Step):
    """EK-FAC influence of every row on one head of a saved model, with probes of the tokenizer's ordinary tokens."""

    model: Path
    packed: Step
    head: str
    parts: HeadParts = "qkvo"
    options: EkfacOptions = EkfacOptions()
    mechanism: HeadMechanism = "induction"
    probe_rows: int = Field(default=32, ge=4)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Score, check and save (see `HeadAttribution.save`)."""
        torch.set_num_threads(1)
        packed = Packed.load(context.get(self.packed))
        attribute_head(
            load_model(self.model),
            packed,
            self.head,
            ordinary_probe(self.model, packed.context, rows=self.probe_rows, seed=self.seed),
            parts=self.parts,
            mechanism=self.mechanism,
            options=self.options,
            seed=self.seed,
            advance=context.advance,
        ).save(folder)


def ordinary_probe(model: Path, context: int, *, rows: int, seed: int) -> RepeatProbe:
    """The longest probe that fits a saved model's context, of its tokenizer's ordinary tokens."""
    tokenizer = load_tokenizer(model)
    alphabet, bos = ordinary_tokens(tokenizer), tokenizer.bos_token_id
    period = min((context - (bos is not None)) // 2, len(alphabet))
    return repeat_probe(alphabet, period=period, rows=rows, seed=seed, bos=bos, context=context)


class TopRows(Step):
    """The rows with the highest score under one ranking, optionally only outside some domains."""

    attribution: Attribution
    ranking: str = CONSENSUS
    fraction: float = Field(default=0.1, gt=0, lt=1)
    """Of all rows, also when domains are left out, so that arms have the same size."""
    without_domains: tuple[str, ...] = ()

    def execute(self, folder: Path, context: Context) -> None:
        """Choose and save the rows."""
        packed = Packed.load(context.get(self.attribution.packed))
        count = top_count(len(packed), self.fraction)
        values = ranking(context.get(self.attribution), self.ranking)
        np.save(folder / ROWS_FILE, np.sort(_highest(values, packed, count, self.without_domains)))


class TopDocuments(Step):
    """The text of the rows with the highest score under one ranking, optionally only outside some domains."""

    attribution: Attribution
    corpus: Step
    """What wrote the text of `attribution.packed`."""
    ranking: str = CONSENSUS
    count: int = Field(ge=1)
    without_domains: tuple[str, ...] = ()

    def execute(self, folder: Path, context: Context) -> None:
        """Choose, cut and save; one document a row, highest first."""
        packed = Packed.load(context.get(self.attribution.packed))
        texts = {document.id: document for document in Corpus.load(context.get(self.corpus) / CORPUS_FILE)}
        values = ranking(context.get(self.attribution), self.ranking)
        chosen = []
        for row in _highest(values, packed, self.count, self.without_domains):
            whole, length = texts[str(packed.row_ids[row])], int(packed.lengths[row])
            start, end = int(packed.offsets[row, 1, 0]), int(packed.offsets[row, length, 1])
            text = whole.text[start:end]
            chosen.append(Document(id=f"{whole.id}#{row}", text=text, domain=whole.domain, source=whole.source))
        Corpus(documents=tuple(chosen)).save(folder / CORPUS_FILE)


def _highest(values: np.ndarray, packed: Packed, count: int, without_domains: tuple[str, ...]) -> np.ndarray:
    """The `count` rows of highest value outside some domains, highest first."""
    allowed = np.flatnonzero(~np.isin(packed.row_domains, without_domains))
    if len(allowed) < count:
        raise ConfigError(f"only {len(allowed)} rows are left outside {without_domains}, {count} are asked for")
    return allowed[np.argsort(-values[allowed], kind="stable")][:count]
