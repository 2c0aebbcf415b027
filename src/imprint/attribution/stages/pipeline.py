"""A pipeline as the chain of its fine-tuning stages, and the same pipeline with one stage's order replaced."""

from imprint.errors import ConfigError
from imprint.models.finetuning import FineTuning, TuningOrder
from imprint.runs import Step


def chain(final: FineTuning) -> tuple[FineTuning, ...]:
    """All fine-tuning stages that led to this one and itself, the first first; what they started from is left out."""
    before = chain(final.start) if isinstance(final.start, FineTuning) else ()
    return (*before, final)


def stage_back(final: FineTuning, back: int) -> FineTuning:
    """The stage `back` stages before the last one (0: the last one itself).

    Raises:
        ConfigError: the pipeline has no such stage.
    """
    stages = chain(final)
    if not 0 <= back < len(stages):
        raise ConfigError(
            f"back={back} names no stage of a pipeline of {len(stages)}; give 0 (the last) to {len(stages) - 1}"
        )
    return stages[-1 - back]


def edited(final: FineTuning, back: int, stream: Step) -> FineTuning:
    """The pipeline whose stage `back` stages before the last is trained in another order, and all later ones on its result.

    What lies before that stage keeps its key, so that nothing of it is computed again.

    Raises:
        ConfigError: the pipeline has no such stage.
    """
    stage_back(final, back)
    if back == 0:
        return final.model_copy(update={"stream": stream})
    assert isinstance(final.start, FineTuning)
    return final.model_copy(update={"start": edited(final.start, back - 1, stream)})


def order_of(stage: FineTuning) -> Step:
    """The order that the stage is trained in, as a step."""
    return stage.stream or TuningOrder(rows=stage.rows, tuning=stage.tuning, seed=stage.seed)
