"""imprint: which training data left this capability in a model, through which mechanism, and is it causal?

The public names, imported when they are first used, so that `import imprint` and `imprint --help` are instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Anatomy": "models",
    "Claim": "stats",
    "Clustering": "corpus.clusters",
    "Component": "models",
    "Corpus": "corpus",
    "Document": "corpus",
    "Effect": "stats",
    "Evidence": "stats",
    "Hypothesis": "stats",
    "Intervention": "interventions.activations",
    "MechanismStudy": "studies",
    "PerturbationStudy": "studies",
    "PlantedWorld": "corpus",
    "Scores": "attribution",
    "Store": "runs",
    "ablate_heads": "models",
    "attribute_head": "attribution",
    "denoising": "mechanisms",
    "induction_transformer": "models",
    "intervene": "interventions.activations",
    "load_model": "models",
    "load_study": "studies",
    "load_tokenizer": "models",
    "locate": "mechanisms",
    "ordinary_tokens": "capabilities",
    "pack": "corpus",
    "random_period_probes": "capabilities",
    "read_corpus": "corpus",
    "run_mechanism_study": "studies",
    "run_perturbation_study": "studies",
}

__all__ = [
    "Anatomy",
    "Claim",
    "Clustering",
    "Component",
    "Corpus",
    "Document",
    "Effect",
    "Evidence",
    "Hypothesis",
    "Intervention",
    "MechanismStudy",
    "PerturbationStudy",
    "PlantedWorld",
    "Scores",
    "Store",
    "ablate_heads",
    "attribute_head",
    "denoising",
    "induction_transformer",
    "intervene",
    "load_model",
    "load_study",
    "load_tokenizer",
    "locate",
    "ordinary_tokens",
    "pack",
    "random_period_probes",
    "read_corpus",
    "run_mechanism_study",
    "run_perturbation_study",
]

if TYPE_CHECKING:
    from imprint.attribution import Scores, attribute_head
    from imprint.capabilities import ordinary_tokens, random_period_probes
    from imprint.corpus import Corpus, Document, PlantedWorld, pack, read_corpus
    from imprint.corpus.clusters import Clustering
    from imprint.interventions.activations import Intervention, intervene
    from imprint.mechanisms import denoising, locate
    from imprint.models import (
        Anatomy,
        Component,
        ablate_heads,
        induction_transformer,
        load_model,
        load_tokenizer,
    )
    from imprint.runs import Store
    from imprint.stats import Claim, Effect, Evidence, Hypothesis
    from imprint.studies import (
        MechanismStudy,
        PerturbationStudy,
        load_study,
        run_mechanism_study,
        run_perturbation_study,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'imprint' has no attribute '{name}'")
    return getattr(import_module(f"imprint.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
