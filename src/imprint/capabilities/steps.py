"""Evaluation as a content-addressed step: a model, the files of its benchmarks and what is done to it name the result."""

from pathlib import Path

import torch
from pydantic import Field
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from imprint.capabilities.bench import Bench, prepare
from imprint.capabilities.evaluate import evaluate
from imprint.capabilities.items import write_items
from imprint.capabilities.suites import suites_named
from imprint.errors import ConfigError
from imprint.interventions.activations import load_interventions
from imprint.models.imported import ImportedModel, open_imported
from imprint.runs import Context, Step, write_json

ITEMS = "items.parquet"


class EvaluateModel(Step):
    """The items of benchmark suites for one model, with or without interventions (`items.parquet`)."""

    model: ImportedModel
    suites: tuple[str, ...] = Field(min_length=1)
    """Names of suites, no abilities, so that the recipe says what was run."""
    folders: dict[str, Path]
    """For each suite the folder (or file) that it reads; it counts by its content."""
    limit: int | None = Field(default=None, ge=1)
    """Items a suite; None = all."""
    fewshot: int | None = Field(default=None, ge=0)
    """Shots; None = as many as each suite has by default."""
    seed: int = 0
    generate: bool = True
    """Let tasks with open answers be answered; otherwise only the gold answer's probability is taken."""
    max_new_tokens: int = Field(default=256, ge=1)
    interventions: Path | None = None
    """A file of interventions that act during all of it."""
    interventions_tensors: Path | None = None
    """The safetensors file beside it, if it has one."""

    @staticmethod
    def of(
        model: ImportedModel,
        suites: list[str],
        data: Path,
        *,
        limit: int | None = None,
        fewshot: int | None = None,
        seed: int = 0,
        generate: bool = True,
        max_new_tokens: int = 256,
    ) -> "EvaluateModel":
        """The step for suites (or abilities) whose folders lie in `data`; `ConfigError` if one is unknown or missing."""
        chosen = suites_named(suites)
        folders = {suite.name: data if data.is_file() else data / suite.folder for suite in chosen}
        for name, folder in folders.items():
            if not folder.exists():
                raise ConfigError(f"{folder}: no such folder; suite '{name}' reads it, so give its parent with --data.")
        return EvaluateModel(
            model=model,
            suites=tuple(folders),
            folders=folders,
            limit=limit,
            fewshot=fewshot,
            seed=seed,
            generate=generate,
            max_new_tokens=max_new_tokens,
        )

    def under(self, interventions: Path) -> "EvaluateModel":
        """The same items while the interventions of a file act; `ConfigError` if there is no such file."""
        if not interventions.is_file():
            raise ConfigError(f"{interventions}: no such file of interventions; imprint perturb writes one.")
        tensors = interventions.with_suffix(".safetensors")
        return self.model_copy(
            update={"interventions": interventions, "interventions_tensors": tensors if tensors.is_file() else None}
        )

    def bench(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Bench:
        """The items, prompts and tokens, without running the model."""
        place = next(iter(self.folders.values()))
        return prepare(
            self.suites,
            place if place.is_file() else place.parent,
            tokenizer,
            model=model,
            limit=self.limit,
            fewshot=self.fewshot,
            seed=self.seed,
        )

    def execute(self, folder: Path, context: Context) -> None:
        """Score, generate where it is asked for, and write the items; what was cut to the context becomes a warning."""
        torch.set_num_threads(1)
        model, tokenizer = open_imported(context.get(self.model), self.model.dtype)
        bench = self.bench(model, tokenizer)
        if bench.truncated:
            context.warn(
                f"{bench.truncated} of {len(bench.requests)} requests were longer than the model's context and lost their "
                f"beginning; ask for fewer shots"
            )
        frame = evaluate(
            bench,
            model,
            tokenizer,
            interventions=() if self.interventions is None else load_interventions(self.interventions),
            generate=self.generate,
            max_new_tokens=self.max_new_tokens,
            advance=context.advance,
        )
        write_items(frame, folder / ITEMS)
        write_json(folder / "bench.json", {"truncated": bench.truncated, "requests": len(bench.requests)})
