"""Synthetic arms: motifs of the highest-ranked documents, text written from them, and its controls, as edits of training."""

import json
from dataclasses import dataclass

from imprint.attribution import Attribution, TopDocuments
from imprint.corpus import CORPUS_FILE, Corpus, JoinedPacked, PackedCorpus, WithoutDomains
from imprint.corpus.augmentation import (
    AskMotifs,
    ControlCorpus,
    ExtractMotifs,
    SyntheticCorpus,
    load_motifs,
    schema_json,
)
from imprint.corpus.augmentation.schema import MotifSchema
from imprint.errors import ConfigError
from imprint.interventions.data import PartRows
from imprint.runs import Step, Store
from imprint.studies.mechanism.arms import Arm, Corpora
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import KEEP
from imprint.studies.mechanism.options import PLANTED, AugmentationOptions

AGAINST = {"synthetic": ("synthetic_transplanted",), "synthetic_smallest": ("synthetic",)}
"""What further arms an arm is set beside: the same repetition of other text; the model's own motifs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Synthesis:
    """What is written for one model: the motifs of its highest-ranked documents and the text of every arm."""

    motifs: dict[str, Step]
    """The motifs of the arms that have their own, by the arm's name."""
    texts: dict[str, Step]
    """The step that writes each arm's documents, by the arm's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenText:
    """A few of the documents that an arm trains on, to be looked at."""

    arm: str
    motifs: str
    """The schema that they were written from, as JSON; empty for a control, which is made from other text."""
    examples: tuple[str, ...]


def synthesis(study: MechanismStudy, attribution: Attribution, data: Corpora) -> Synthesis:
    """The text of `synthetic` and of its controls.

    Controls: the same copies around natural passages of the training text, and the same words in random order.
    With `natural`, also text with motifs of the highest-ranked natural documents.
    """
    options = study.augmentation
    assert options is not None
    motifs = {"synthetic": _motifs(study, options, attribution, data, ())}
    written = _written(study, options, motifs["synthetic"])
    texts: dict[str, Step] = {"synthetic": written}
    if options.transplanted:
        natural = WithoutDomains(corpus=data.train.corpus, domains=PLANTED)
        texts["synthetic_transplanted"] = ControlCorpus(
            documents=written, control="transplanted", source=natural, seed=study.corpus.seed
        )
    texts["synthetic_shuffled"] = ControlCorpus(documents=written, control="shuffled", seed=study.corpus.seed)
    if "synthetic_natural" in study.arms:
        motifs["synthetic_natural"] = _motifs(study, options, attribution, data, PLANTED)
        texts["synthetic_natural"] = _written(study, options, motifs["synthetic_natural"])
    return Synthesis(motifs=motifs, texts=texts)


def synthetic_arm(study: MechanismStudy, name: str, text: Step, data: Corpora, *, control: str = KEEP) -> Arm:
    """Training on synthetic text in the place of random documents, over the whole window."""
    assert study.augmentation is not None
    written = PackedCorpus(corpus=text, context=data.train.context, tokenizer=data.train.tokenizer)
    joined = JoinedPacked(parts=(data.train, written))
    return Arm(
        name=name,
        kind="duplicate",
        rows=PartRows(joined=joined, part=1),
        control=control,
        against=AGAINST.get(name, ()),
        is_control=name in ("synthetic_transplanted", "synthetic_shuffled"),
        share=study.augmentation.share,
        packed=joined,
    )


def synthetic_arms(study: MechanismStudy, written: Synthesis, data: Corpora) -> list[Arm]:
    """Every synthetic arm of a study's own motifs; `synthetic` is compared with its own words in random order."""
    return [
        synthetic_arm(study, name, text, data, control="synthetic_shuffled" if name == "synthetic" else KEEP)
        for name, text in written.texts.items()
    ]


def written_texts(written: Synthesis, store: Store, *, examples: int = 3) -> list[WrittenText]:
    """Some documents of every arm with the motifs behind them."""
    found = []
    for arm, text in written.texts.items():
        documents = Corpus.load(store.get(text) / CORPUS_FILE).documents[:examples]
        motifs = json.dumps(schema_json(load_motifs(store.get(written.motifs[arm])))) if arm in written.motifs else ""
        found.append(WrittenText(arm=arm, motifs=motifs, examples=tuple(document.text for document in documents)))
    return found


def read_motifs(step: Step, store: Store, *, of: str) -> MotifSchema:
    """The motifs, found now if need be.

    Raises:
        ConfigError: the documents share no structure, so nothing can be written.
    """
    schema = load_motifs(store.get(step))
    if not schema.motifs:
        raise ConfigError(
            f"the highest-ranked {of} share no structure, so no synthetic text can be written from them; set"
            " augmentation.samples higher and run again in the same folder"
        )
    return schema


def _motifs(
    study: MechanismStudy,
    options: AugmentationOptions,
    attribution: Attribution,
    data: Corpora,
    without_domains: tuple[str, ...],
) -> Step:
    top = TopDocuments(
        attribution=attribution,
        corpus=data.train.corpus,
        ranking=study.ranking,
        count=options.samples,
        without_domains=without_domains,
    )
    if options.motifs == "endpoint":
        return AskMotifs(documents=top, model=options.model)
    return ExtractMotifs(documents=top)


def _written(study: MechanismStudy, options: AugmentationOptions, motifs: Step) -> SyntheticCorpus:
    return SyntheticCorpus(
        motifs=motifs,
        documents=options.documents,
        most_characters=study.corpus.passage_bytes,
        seed=study.corpus.seed,
    )
