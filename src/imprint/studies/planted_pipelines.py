"""Susceptibility studies of planted conditions: the real study on worlds whose explanation is known."""

from dataclasses import dataclass
from pathlib import Path

from imprint.corpus.planted_conditions import Cause, PlantedConditions, WorldFiles
from imprint.mechanisms.checkpoints import Contrast
from imprint.models import Architecture
from imprint.models.finetuning import LoraRecipe, PreferenceRecipe, SupervisedRecipe
from imprint.studies.susceptibility import (
    Base,
    Outcome,
    PipelineOptions,
    PreferenceStage,
    Pretraining,
    RemovalOptions,
    RepresentationOptions,
    SupervisedStage,
    SurfaceOptions,
    SusceptibilityStudy,
)

CONTEXT = 48
OUTCOME = "asked-for"
_SITE = "L1.resid_post"
_MODEL = {
    "vocab_size": 256,
    "n_positions": CONTEXT,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": 64,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineSizes:
    """How many pipelines there are and how long each is trained; the defaults are those of the gates."""

    conditions: int = 8
    conversations: int = 200
    seeds: int = 4
    pretraining_steps: int = 200
    midtraining_steps: int = 160
    tuning_steps: int = 8
    adversarial_steps: int = 5
    permutations: int = 49
    pool: int = 24
    """Conditions of the noise world that are trained, from which noise worlds are drawn."""
    pool_seeds: int = 3
    noise_worlds: int = 40
    simulated_worlds: int = 2_000
    world_seed: int = 0
    """Another one draws other words and conversations."""


def planted_files(cause: Cause, sizes: PipelineSizes, folder: Path) -> WorldFiles:
    """The files of a world, in a folder of its own; the noise world has the pool's conditions."""
    conditions = sizes.pool if cause == "noise" else sizes.conditions
    world = PlantedConditions(
        cause=cause, conditions=conditions, conversations=sizes.conversations, seed=sizes.world_seed
    )
    return world.write(folder / cause.replace(" ", "-"))


def planted_study(cause: Cause, files: WorldFiles, sizes: PipelineSizes) -> SusceptibilityStudy:
    """The study of a world, its hypotheses and stopping rules the defaults of every study."""
    contrast = Contrast(name="persona", positive=files.positive, negative=(files.negative,))
    return SusceptibilityStudy(
        title=f"Planted conditions: {cause}",
        conditions={name: (path,) for name, path in files.conditions.items()},
        context=CONTEXT,
        base=_base(files, sizes),
        stages=_stages(files, sizes),
        pipelines=PipelineOptions(
            seeds=sizes.pool_seeds if cause == "noise" else sizes.seeds, checkpoint_every=_quarter(sizes)
        ),
        outcomes=(Outcome(name=OUTCOME, pairs=(files.evaluation,)),),
        surface=SurfaceOptions(permutations=sizes.permutations, draws=20),
        representation=RepresentationOptions(
            prompts=files.prompts,
            contrasts=(contrast,),
            sites=(_SITE,),
            scalars=("loss", "entropy", f"persona/{_SITE}/length"),
            draws=99,
        ),
        removal=RemovalOptions(method="tracin", fraction=0.05),
    )


def _quarter(sizes: PipelineSizes) -> int:
    return max(1, sizes.midtraining_steps // 4)


def _base(files: WorldFiles, sizes: PipelineSizes) -> Base:
    return Base(
        pretraining=Pretraining(
            corpus=(files.pretraining,),
            documents=500,
            passage_bytes=64,
            architecture=Architecture(model_type="gpt2", config={**_MODEL}),
            steps=sizes.pretraining_steps,
        )
    )


def _stages(files: WorldFiles, sizes: PipelineSizes) -> tuple[SupervisedStage | PreferenceStage, ...]:
    sft = SupervisedRecipe(learning_rate=5e-4, warmup_steps=3, batch=16, steps=sizes.tuning_steps)
    dpo = PreferenceRecipe(learning_rate=3e-4, warmup_steps=3, batch=16, steps=sizes.tuning_steps)
    mid = SupervisedRecipe(learning_rate=2e-3, warmup_steps=5, batch=8, steps=sizes.midtraining_steps)
    attack = SupervisedRecipe(learning_rate=1e-3, warmup_steps=3, batch=16, steps=sizes.adversarial_steps)
    return (
        SupervisedStage(name="midtrain", data="condition", tuning=mid),
        SupervisedStage(name="sft", data=(files.sft,), tuning=sft),
        PreferenceStage(name="dpo", data=(files.dpo,), tuning=dpo),
        SupervisedStage(
            name="adversarial", data=(files.adversarial,), tuning=attack, lora=LoraRecipe(rank=4, alpha=8.0)
        ),
    )
