"""The pipelines of a study as steps: a base, the stages in order, and the measurements at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imprint.capabilities import PairMargins
from imprint.corpus import FileCorpus, MachineCorpus, PackedCorpus, ShuffledStream, TrainingCorpus
from imprint.corpus.chat import RenderedChats, RenderedPreferences
from imprint.models import ImportedModel, Train
from imprint.models.finetuning import FineTuning, PreferenceTuning, SupervisedTuning
from imprint.runs import Step, derive
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.options import CONDITION, Outcome, PreferenceStage, Pretraining, StageOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """All stages of one condition under one pipeline seed; the last stage may be run several times."""

    condition: str
    seed: int
    base: Step
    stages: tuple[FineTuning, ...]
    """All but the last."""
    finals: tuple[FineTuning, ...]
    """The last stage, once a stage seed."""

    @property
    def before_last(self) -> FineTuning:
        """The checkpoint that the last stage starts from."""
        return self.stages[-1]

    @property
    def name(self) -> str:
        """Condition and seed."""
        return f"{self.condition}/{self.seed}"


def pipelines(study: SusceptibilityStudy) -> list[Pipeline]:
    """Every condition under every pipeline seed, conditions outermost."""
    return [pipeline(study, condition, seed) for condition in study.conditions for seed in study.seeds]


def pipeline(study: SusceptibilityStudy, condition: str, seed: int) -> Pipeline:
    """The steps of one pipeline; equal seeds in two conditions share base, orders and adapters, and differ in the text."""
    base, last = base_model(study, seed), study.stages[-1]
    stages: list[FineTuning] = []
    for stage in study.stages[:-1]:
        start = stages[-1] if stages else base
        stages.append(_stage(study, stage, start, condition, derive(seed, stage.name)))
    finals = [
        _stage(study, last, stages[-1], condition, derive(seed, last.name, number))
        for number in range(study.pipelines.stage_seeds)
    ]
    return Pipeline(condition=condition, seed=seed, base=base, stages=tuple(stages), finals=tuple(finals))


def base_model(study: SusceptibilityStudy, seed: int) -> Step:
    """What the pipelines of a seed start from."""
    base = study.base
    if base.model is not None:
        return ImportedModel.of(base.model, dtype="float32")
    assert base.pretraining is not None
    return _pretrained(study, base.pretraining, seed if base.each_seed else study.pipelines.first_seed)


def _pretrained(study: SusceptibilityStudy, options: Pretraining, seed: int) -> Step:
    packed = _text(study, options)
    return Train(
        architecture=options.architecture,
        optimisation=options.optimisation,
        packed=packed,
        stream=ShuffledStream(packed=packed, steps=options.steps, batch=options.batch, seed=seed),
        seed=seed,
        checkpoint_every=options.steps,
        keep_moments=False,
        device=study.pipelines.device,
        last_step=options.steps,
    )


def _text(study: SusceptibilityStudy, options: Pretraining) -> PackedCorpus:
    found: Step = FileCorpus(paths=options.corpus) if options.corpus else MachineCorpus(seed=study.seed)
    corpus = TrainingCorpus(
        base=found,
        part="train",
        documents=options.documents,
        passage_bytes=options.passage_bytes,
        novel_repeats=options.novel_repeats,
        boilerplate=0.0,
        seed=study.seed,
    )
    return PackedCorpus(corpus=corpus, context=study.context, tokenizer=study.base.tokenizer_folder)


def _stage(study: SusceptibilityStudy, stage: StageOptions, start: Step, condition: str, seed: int) -> FineTuning:
    shared = {
        "start": start,
        "tuning": stage.tuning,
        "lora": stage.lora,
        "seed": seed,
        "checkpoint_every": study.pipelines.checkpoint_every,
        "device": study.pipelines.device,
    }
    if isinstance(stage, PreferenceStage):
        return PreferenceTuning.model_validate({**shared, "rows": _pairs(study, stage.data)})
    files = study.conditions[condition] if stage.data == CONDITION else tuple(map(Path, stage.data))
    return SupervisedTuning.model_validate({**shared, "rows": condition_rows(study, files)})


def condition_rows(study: SusceptibilityStudy, files: Sequence[Path]) -> RenderedChats:
    """Chat files as rows whose prompts are masked."""
    return RenderedChats(paths=tuple(files), context=study.context, tokenizer=study.base.tokenizer_folder)


def _pairs(study: SusceptibilityStudy, files: Sequence[Path]) -> RenderedPreferences:
    return RenderedPreferences(paths=tuple(files), context=study.context, tokenizer=study.base.tokenizer_folder)


def evaluation_pairs(study: SusceptibilityStudy, outcome: Outcome) -> RenderedPreferences:
    """The items of an outcome as rows."""
    return _pairs(study, outcome.pairs)


def measured(study: SusceptibilityStudy, outcome: Outcome, final: Step) -> PairMargins:
    """The items of an outcome under one finished model."""
    return PairMargins(model=final, pairs=evaluation_pairs(study, outcome))
