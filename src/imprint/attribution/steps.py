"""Attribution as content-addressed steps: influence of training rows on a head, and the rows that it ranks highest."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from imprint.attribution.engine.ekfac import EkfacOptions
from imprint.attribution.engine.selections import HeadParts
from imprint.attribution.head import HeadMechanism, attribute_head
from imprint.attribution.rankings import CONSENSUS, ranking
from imprint.capabilities import ordinary_tokens, repeat_probe
from imprint.corpus import Packed
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
        tokenizer = load_tokenizer(self.model)
        alphabet, bos = ordinary_tokens(tokenizer), tokenizer.bos_token_id
        period = min((packed.context - (bos is not None)) // 2, len(alphabet))
        attribute_head(
            load_model(self.model),
            packed,
            self.head,
            repeat_probe(
                alphabet, period=period, rows=self.probe_rows, seed=self.seed, bos=bos, context=packed.context
            ),
            parts=self.parts,
            mechanism=self.mechanism,
            options=self.options,
            seed=self.seed,
            advance=context.advance,
        ).save(folder)


class TopRows(Step):
    """The rows with the highest score under one ranking, optionally only outside some domains."""

    attribution: Attribution
    ranking: str = CONSENSUS
    fraction: float = Field(default=0.1, gt=0, lt=1)
    """Of all rows, also when domains are left out, so that arms have the same size."""
    without_domains: tuple[str, ...] = ()

    def execute(self, folder: Path, context: Context) -> None:
        """Choose and save the rows."""
        scored = context.get(self.attribution)
        packed = Packed.load(context.get(self.attribution.packed))
        values = ranking(scored, self.ranking)
        allowed = np.flatnonzero(~np.isin(packed.row_domains, self.without_domains))
        count = top_count(len(packed), self.fraction)
        if len(allowed) < count:
            raise ConfigError(
                f"only {len(allowed)} rows are left outside {self.without_domains}, {count} are asked for"
            )
        order = allowed[np.argsort(-values[allowed], kind="stable")]
        np.save(folder / ROWS_FILE, np.sort(order[:count]))
