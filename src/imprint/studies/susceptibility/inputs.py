"""What can be checked before anything is registered or trained: files, contexts, layers."""

import re
from collections.abc import Iterator
from pathlib import Path

from transformers import AutoConfig, PreTrainedConfig

from imprint.errors import ConfigError
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.options import CONDITION


def check_inputs(study: SusceptibilityStudy) -> None:
    """Refuse a study that would stop half-way.

    Raises:
        ConfigError: a file is missing, rows are longer than the model's context, or a site names a layer it lacks.
    """
    for place, path in _files(study):
        if not path.exists():
            raise ConfigError(
                f"{place}: there is no file '{path}'; check the path, which is read from the current folder"
            )
    config = _config(study)
    if config is None:
        return
    limit = int(getattr(config, "max_position_embeddings", study.context))
    if study.context > limit:
        raise ConfigError(
            f"context: rows of {study.context} tokens do not fit the base model, whose context is {limit}; lower it"
        )
    layers = int(config.num_hidden_layers)
    for site in () if study.representation is None else study.representation.sites:
        found = re.match(r"L(\d+)\.", site)
        if found and int(found[1]) >= layers:
            raise ConfigError(
                f"representation.sites: '{site}' names layer {found[1]}, the base model has layers 0 to {layers - 1}"
            )


def _files(study: SusceptibilityStudy) -> Iterator[tuple[str, Path]]:
    for name, paths in study.conditions.items():
        yield from ((f"conditions.{name}", path) for path in paths)
    for stage in study.stages:
        yield from ((f"stages.{stage.name}", Path(path)) for path in stage.data if stage.data != CONDITION)
    for outcome in study.outcomes:
        yield from ((f"outcomes.{outcome.name}", path) for path in outcome.pairs)
    yield from (("surface.reference", path) for path in study.surface.reference)
    if study.base.pretraining is not None:
        yield from (("base.pretraining.corpus", path) for path in study.base.pretraining.corpus)
    if study.base.tokenizer is not None:
        yield "base.tokenizer", study.base.tokenizer
    if study.representation is not None:
        yield from (("representation.prompts", path) for path in study.representation.prompts)
        for contrast in study.representation.contrasts:
            yield from (
                (f"representation.contrasts.{contrast.name}", path) for path in (contrast.positive, *contrast.negative)
            )


def _config(study: SusceptibilityStudy) -> PreTrainedConfig | None:
    """The base model's config; None where it is not at hand before the model is fetched."""
    if study.base.pretraining is not None:
        return study.base.pretraining.architecture.build_config()
    folder = Path(str(study.base.model))
    if not (folder / "config.json").is_file():
        return None
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"base.model: '{folder}' holds no model that transformers knows: {str(error).splitlines()[0]}"
        ) from error
    return config
