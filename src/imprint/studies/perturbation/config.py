"""What a perturbation study's file may say: model, clusters, abilities, perturbations, hypotheses."""

import math
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.corpus.clusters import ByDomain, ClusterMethod
from imprint.models import Component
from imprint.stats import Hypothesis
from imprint.studies.perturbation.registration import check_hypotheses, default_hypotheses

Family = Literal["ablation", "noise", "shift", "erasure", "sign"]
"""Mean ablation of R_k; Gaussian noise in R_k; shift along v_k; erasure of the cluster's label; gradient-sign injection."""

Direction = Literal["difference", "svd", "probe"]
"""Where a shift goes: cluster mean minus the others' mean, first principal direction, or the normal of the probe."""

DEFAULT_DOSES: dict[Family, tuple[float, ...]] = {
    "ablation": (0.2, 0.4, 0.6, 0.8, 1.0),
    "noise": (0.25, 0.5, 1.0, 2.0, 4.0),
    "shift": (2.0, 4.0, 8.0, 16.0, 32.0),
    "erasure": (0.2, 0.4, 0.6, 0.8, 1.0),
    "sign": (0.025, 0.05, 0.1, 0.2, 0.4),
}
"""Ablation and erasure: share replaced, 1 = all. The others: size in units of the site's root mean square."""


class ModelOptions(BaseModel):
    """Which model is studied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """A hub name, the folder of a saved model, a .gguf file, or package:NAME/FILE for a file in an installed package."""
    revision: str | None = None
    gguf_file: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"


class ClusterOptions(BaseModel):
    """Which text stands for the clusters of training data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: tuple[Path, ...] = Field(min_length=1)
    text_key: str = "text"
    domain_key: str | None = None
    method: ClusterMethod = ByDomain()
    """kind: domains, lda (topics, seed) or bertopic (encoder, topics, smallest, seed)."""
    most_documents: int = Field(default=2_000, ge=20)
    """Documents of each file's domain that are read, drawn at random."""
    heads: tuple[str, ...] = ()
    """Heads known to serve the abilities, such as L18.H6: only clusters in which they are more active are perturbed."""
    documents: int = Field(default=200, ge=20)
    """Passages taken from each cluster, half to find its representation and half to validate the perturbation."""
    tokens: int = Field(default=64, ge=8)
    """Tokens of each passage."""
    seed: int = 0


class AbilityOptions(BaseModel):
    """What the model is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of the benchmark files."""
    suites: tuple[str, ...] = Field(min_length=1)
    controls: tuple[str, ...] = ()
    """Suites that no cluster is expected to carry."""
    items: int = Field(default=200, ge=20)
    """Items of each suite, drawn with `seed`."""
    fewshot: int | None = Field(default=None, ge=0)
    seed: int = 0

    @model_validator(mode="after")
    def _controls_are_measured(self) -> "AbilityOptions":
        strange = [name for name in self.controls if name not in self.suites]
        if strange:
            raise ValueError(f"control '{strange[0]}' is not among the suites {', '.join(self.suites)}")
        if len(set(self.suites)) < len(self.suites):
            raise ValueError("a suite is named twice; name each once")
        return self


class PerturbationOptions(BaseModel):
    """Where and how hard the representation is perturbed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    """Address of the main site, for example L20.resid_post."""
    dimensions: int = Field(default=32, ge=1)
    """Most dimensions in R_k: those with the largest |d| among the significant ones."""
    rank: int = Field(default=4, ge=1)
    """Principal directions of each cluster."""
    direction: Direction = "difference"
    """Where a shift goes."""
    families: tuple[Family, ...] = ("ablation", "noise", "shift", "sign")
    doses: dict[Family, tuple[float, ...]] = Field(default_factory=dict)
    """Doses of each family, ascending; by default `DEFAULT_DOSES`."""
    control_draws: int = Field(default=4, ge=2)
    """Random draws of each matched control at its middle and largest dose. They are the units of every p: a perturbation
    must stand out among perturbations that were drawn at random, not only from their mean."""
    global_noise: bool = True
    """Also noise in all dimensions at once, the reference that no cluster is special in."""
    layers: tuple[str, ...] = ()
    """Further sites at which the strongest family's largest dose is repeated (embedding, middle, final)."""
    token_shares: tuple[float, ...] = ()
    """Shares of the tokens that are perturbed, most typical of the cluster first, against as many random ones."""
    seed: int = 0

    @property
    def on_stream(self) -> bool:
        """Whether the site is the residual stream above the first block's input, whose states the scorer keeps anyway."""
        site = Component.parse(self.site)
        return site.site == "resid_post" or (site.site == "resid_pre" and site.layer != 0)

    def doses_of(self, family: Family) -> tuple[float, ...]:
        """The doses of one family."""
        return self.doses.get(family, DEFAULT_DOSES[family])

    @model_validator(mode="after")
    def _can_be_done(self) -> "PerturbationOptions":
        for site in (self.site, *self.layers):
            Component.parse(site)
        if not self.on_stream and ("sign" in self.families or self.token_shares):
            raise ValueError(
                f"site '{self.site}' is not the residual stream behind a block, where tokens are told typical; leave out the"
                " family 'sign' and token_shares, or choose a site such as L20.resid_post"
            )
        if not self.families or len(set(self.families)) < len(self.families):
            raise ValueError("families must name at least one family, and each once")
        for family in dict.fromkeys((*self.families, *self.doses)):
            _check_doses(family, self.doses_of(family))
        wrong = [share for share in self.token_shares if not 0 < share <= 1]
        if wrong:
            raise ValueError(f"token_shares: {wrong[0]} is not a share; give numbers above 0 and up to 1")
        return self


def _check_doses(family: str, doses: tuple[float, ...]) -> None:
    bad = [dose for dose in doses if not math.isfinite(dose) or dose <= 0]
    if bad:
        raise ValueError(f"doses.{family}: {bad[0]} is not a dose; give finite numbers above 0")
    if len(doses) < 2 or list(doses) != sorted(set(doses)):
        raise ValueError(f"doses.{family}: {list(doses)} must be at least two different doses in ascending order")
    if family in ("ablation", "erasure") and doses[-1] > 1:
        raise ValueError(f"doses.{family}: {doses[-1]} is more than 1, and no more than all can be replaced")


class PerturbationStudy(BaseModel):
    """Which clusters of training text do a model's abilities rest on, as far as perturbing representations can say?"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["perturbation"] = "perturbation"
    title: str = "Which data do this model's abilities rest on?"
    model: ModelOptions
    clusters: ClusterOptions
    abilities: AbilityOptions
    perturbations: PerturbationOptions
    hypotheses: tuple[Hypothesis, ...] = Field(
        default_factory=lambda data: default_hypotheses(data["abilities"].controls if "abilities" in data else ())
    )

    @model_validator(mode="after")
    def _can_be_judged(self) -> "PerturbationStudy":
        check_hypotheses(self.hypotheses, self.abilities.suites)
        return self
