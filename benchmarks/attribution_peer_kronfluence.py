"""kronfluence on the shapes of `benchmarks.attribution`; run by the Python that has it.

`default` is float32 EK-FAC damped by 0.1 x the mean eigenvalue, as all tools here; `bf16` has every dtype in bfloat16 but
the preconditioning; `fastest` adds 128 rows for the factors; `identity` has no curvature; `per_token` scores tokens with
the factors of `default` where they are already on disk.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from kronfluence.utils.common.factor_arguments import all_low_precision_factor_arguments
from kronfluence.utils.common.score_arguments import smart_low_precision_score_arguments
from torch import nn
from torch.utils.data import Dataset

from benchmarks.attribution_shapes import SHAPES, as_linear, setting, tracked
from benchmarks.attribution_stages import Stages, answer, bytes_under

Batch = dict[str, torch.Tensor]


class Rows(Dataset[Batch]):
    """Rows of tokens as kronfluence wants them."""

    def __init__(self, tokens: torch.Tensor) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Batch:
        return {"tokens": self.tokens[index]}


class LanguageModelling(Task):
    """Summed next-token cross-entropy; the measurement is the same on the query rows."""

    def __init__(self, modules: list[str]) -> None:
        self.modules = modules

    def compute_train_loss(self, batch: Batch, model: nn.Module, sample: bool = False) -> torch.Tensor:
        logits = model(batch["tokens"]).logits[:, :-1].float().flatten(0, 1)
        labels = batch["tokens"][:, 1:].flatten()
        if sample:
            with torch.no_grad():
                labels = torch.multinomial(logits.detach().softmax(-1), 1).flatten()
        return F.cross_entropy(logits, labels, reduction="sum")

    def compute_measurement(self, batch: Batch, model: nn.Module) -> torch.Tensor:
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self) -> list[str]:
        return self.modules


def options(name: str) -> tuple[FactorArguments, ScoreArguments]:
    """kronfluence's own arguments of a setting."""
    if name in ("bf16", "fastest"):
        factors = all_low_precision_factor_arguments("ekfac")
        if name == "fastest":
            factors.covariance_max_examples = factors.lambda_max_examples = 128
        return factors, smart_low_precision_score_arguments(damping_factor=None)
    scores = ScoreArguments(damping_factor=None, compute_per_token_scores=name == "per_token")
    return FactorArguments(strategy="identity" if name == "identity" else "ekfac"), scores


def run(name: str, shape: str, scratch: Path) -> tuple[dict[str, Any], np.ndarray]:
    """One setting, timed by stage; the query gradients are part of kronfluence's score stage."""
    given = setting(shape)
    modules = tracked(given.model)
    as_linear(given.model)
    task = LanguageModelling(modules)
    model = prepare_model(given.model, task)
    train, queries = Rows(given.train), Rows(given.queries)
    fitted = "default" if name == "per_token" else name
    analyzer = Analyzer(fitted, model, task, cpu=True, disable_tqdm=True, output_dir=str(scratch))
    factor_options, score_options = options(name)
    torch.manual_seed(0)
    stages = Stages()
    with stages.stage("covariance"):
        analyzer.fit_covariance_matrices("f", train, per_device_batch_size=16, factor_args=factor_options)
    with stages.stage("eigh"):
        analyzer.perform_eigendecomposition("f", factor_args=factor_options)
    with stages.stage("lambda"):
        analyzer.fit_lambda_matrices("f", train, per_device_batch_size=16, factor_args=factor_options)
    factor_bytes = bytes_under(scratch / fitted)

    def score(stage: str, rows: Rows, into: Stages) -> None:
        with into.stage(stage):
            analyzer.compute_pairwise_scores(
                f"{stage}_{name}", "f", queries, rows, per_device_query_batch_size=32, per_device_train_batch_size=16,
                score_args=score_options,
            )  # fmt: skip

    score("score", train, stages)
    facts = stages.facts() | {"factor_bytes": factor_bytes, "disk_bytes": bytes_under(scratch / fitted)}
    scores = analyzer.load_pairwise_scores(f"score_{name}")["all_modules"].float().numpy()
    if name == "default" and shape in SHAPES:
        one = Stages()
        score("one_batch", Rows(given.train[:16]), one)
        facts["score_of_one_batch_cpu_seconds"] = one.facts()["total_cpu_seconds"]
    return facts, scores


if __name__ == "__main__":
    answer(run, ["default", "bf16", "fastest", "identity", "per_token"])
