"""What the rooms of a susceptibility study's file may say: base, stages, seeds, outcomes, probes, removals, stopping."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.corpus.comparison import SURFACE_SCALARS
from imprint.mechanisms.checkpoints import Contrast, Position
from imprint.models import Architecture, Device, Optimisation
from imprint.models.finetuning import LoraRecipe, PreferenceRecipe, SupervisedRecipe

CONDITION: Literal["condition"] = "condition"
"""What a stage's `data` says where every condition brings its own corpus."""


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Pretraining(_Options):
    """A base model trained here from scratch, before the first stage."""

    corpus: tuple[Path, ...] = ()
    """Text files or folders; empty: real text found on this machine."""
    documents: int = Field(default=4_000, ge=100)
    passage_bytes: int = Field(default=64, ge=16)
    novel_repeats: float = Field(default=0.0, ge=0, lt=1)
    """Share of planted repeats, from which a small model learns to copy."""
    architecture: Architecture
    steps: int = Field(default=600, ge=1)
    batch: int = Field(default=32, ge=1)
    optimisation: Optimisation = Optimisation()


class Base(_Options):
    """What every pipeline starts from: a model that exists, or one that is trained here."""

    model: str | None = None
    """A Hugging Face folder, a hub name or a .gguf file."""
    pretraining: Pretraining | None = None
    each_seed: bool = False
    """Pre-train anew with every pipeline seed (conditions share it); False: one base for all."""
    tokenizer: Path | None = None
    """Folder of the tokenizer; None: the model's own folder, or one token a byte for a model that is trained here."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "Base":
        if (self.model is None) == (self.pretraining is None):
            raise ValueError("base: give either model or pretraining, one of them")
        if self.each_seed and self.pretraining is None:
            raise ValueError("base.each_seed needs base.pretraining: a given model is the same for every seed")
        if self.model is not None and self.tokenizer is None and not Path(self.model).is_dir():
            raise ValueError(f"base.tokenizer: '{self.model}' is no folder; name the folder of its tokenizer")
        return self

    @property
    def tokenizer_folder(self) -> Path | None:
        """Where the tokenizer lies; None: one token a byte."""
        if self.tokenizer is not None or self.model is None:
            return self.tokenizer
        return Path(self.model)


class SupervisedStage(_Options):
    """Mid-training, SFT or the adversarial fine-tune: cross-entropy on the answers."""

    kind: Literal["sft"] = "sft"
    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    data: Literal["condition"] | tuple[Path, ...]
    """Chat files that all conditions share, or `condition`: each condition's own."""
    tuning: SupervisedRecipe = SupervisedRecipe()
    lora: LoraRecipe | None = None


class PreferenceStage(_Options):
    """Direct preference optimisation on pairs."""

    kind: Literal["dpo"] = "dpo"
    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    data: tuple[Path, ...] = Field(min_length=1)
    """Files of prompt, chosen, rejected."""
    tuning: PreferenceRecipe = PreferenceRecipe()
    lora: LoraRecipe | None = None


StageOptions = Annotated[SupervisedStage | PreferenceStage, Field(discriminator="kind")]


class PipelineOptions(_Options):
    """How often everything is run."""

    seeds: int = Field(default=5, ge=2)
    """Pipeline seeds of every condition, the units of all tests."""
    first_seed: int = Field(default=0, ge=0)
    stage_seeds: int = Field(default=1, ge=1)
    """How often the last stage is run for each pipeline; these are averaged, never counted as pipelines."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Updates between the checkpoints that a stage keeps; attribution along training reads them."""
    device: Device = "cpu"


class Outcome(_Options):
    """What is measured at the end of every pipeline: preference between two answers."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    pairs: tuple[Path, ...] = Field(min_length=1)
    """Files of prompt, chosen, rejected; chosen is the answer that a high value means."""
    measure: Literal["margin", "preferred"] = "margin"
    """Mean of log p(chosen) - log p(rejected) in nats, or the share of items with a positive margin."""


class SurfaceOptions(_Options):
    """What of the conditions' text is set against the outcome."""

    scalars: tuple[str, ...] = ("js1.reference",)
    """Registered surface scalars; all of them are corrected for."""
    reference: tuple[Path, ...] = ()
    """Chat files that the distances are taken from; empty: the data of the last stage."""
    folds: int = Field(default=5, ge=2)
    permutations: int = Field(default=100, ge=19)
    draws: int = Field(default=100, ge=20)
    """Bootstrap draws of every divergence between two conditions."""

    @model_validator(mode="after")
    def _known(self) -> "SurfaceOptions":
        unknown = [name for name in self.scalars if name not in SURFACE_SCALARS]
        if unknown or not self.scalars:
            raise ValueError(f"surface.scalars: choose from {', '.join(SURFACE_SCALARS)}, not {unknown or 'none'}")
        return self


class RepresentationOptions(_Options):
    """What of the checkpoints before the last stage is set against the outcome."""

    prompts: tuple[Path, ...] = Field(min_length=1)
    """Fixed conversations, the same for every checkpoint."""
    contrasts: tuple[Contrast, ...] = ()
    sites: tuple[str, ...] = Field(min_length=1)
    """Where states are read, such as L5.resid_post."""
    position: Position = "answer"
    scalars: tuple[str, ...] = ("loss", "entropy")
    """Registered scalars: loss, entropy, or CONTRAST/SITE/NAME with NAME of projection, cosine, length, axis_cosine,
    stability, auc, d_prime; `direction/SITE` is the first direction that separates the conditions."""
    whiten: bool = False
    draws: int = Field(default=499, ge=19)

    @model_validator(mode="after")
    def _known(self) -> "RepresentationOptions":
        known = {"loss", "entropy", *(f"direction/{site}" for site in self.sites)}
        names = ("projection", "cosine", "length", "axis_cosine", "stability", "auc", "d_prime")
        known |= {f"{one.name}/{site}/{name}" for one in self.contrasts for site in self.sites for name in names}
        unknown = [name for name in self.scalars if name not in known and not name.startswith(("loss/", "entropy/"))]
        if unknown or not self.scalars:
            raise ValueError(
                f"representation.scalars: '{(unknown or [''])[0]}' is not measured; choose from {', '.join(sorted(known))}"
            )
        return self


class RemovalOptions(_Options):
    """Attribution of the outcome to a condition's conversations, and what their removal does."""

    method: Literal["tracin", "metagradient", "datamodel"] = "tracin"
    """Which scores choose what is removed."""
    also: tuple[Literal["tracin", "metagradient", "datamodel"], ...] = ()
    """Further scores, shown beside."""
    fraction: float = Field(default=0.05, gt=0, lt=0.5)
    conditions: tuple[str, ...] = ()
    """Whose conversations; empty: the conditions with the highest and the lowest outcome."""
    attribution_seeds: int = Field(default=1, ge=1)
    """Pipelines of a condition that the scores are averaged over."""
    subsets: int = Field(default=10, ge=8)
    """Pipelines on random halves of the corpus, for the datamodel."""


class StoppingRule(_Options):
    """What is not run any more once a verdict is known."""

    after: str
    """Id of a hypothesis."""
    when: Literal["supported", "not supported"]
    skip: tuple[str, ...] = Field(min_length=1)
    """Ids of hypotheses."""
    because: str = Field(min_length=1)


DEFAULT_RULES = (
    StoppingRule(
        after="H4",
        when="not supported",
        skip=("H2", "H3"),
        because="conditions do not differ beyond their pipelines, so there is nothing to explain",
    ),
    StoppingRule(
        after="H1",
        when="supported",
        skip=("H2", "H3"),
        because="the surface of the corpora already ranks the outcomes, so costlier explanations add nothing",
    ),
)
