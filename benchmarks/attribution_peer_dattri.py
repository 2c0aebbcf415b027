"""dattri on the shapes of `benchmarks.attribution`; run by the Python that has it.

`ekfac` and `logra` get all rows; `trak` and `tracin` take gradients of one row at a time by vmap, so they get 16 rows and
16 queries. An exception of dattri's own is the result: `failed` says which.
"""

import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from dattri.algorithm import IFAttributorEKFAC, LoGraAttributor, TracInAttributor, TRAKAttributor
from dattri.task import AttributionTask
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.attribution_shapes import Setting, setting
from benchmarks.attribution_stages import Stages, answer

FEW = 16


class Losses:
    """The forms of one summed next-token loss that dattri's attributors ask for."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @staticmethod
    def cross_entropy(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum")

    def functional(self, parameters: Any, batch: Any) -> torch.Tensor:
        """One row's loss, as vmap wants it."""
        tokens = batch[0] if isinstance(batch, tuple | list) else batch
        tokens = tokens[None] if tokens.dim() == 1 else tokens
        return self.cross_entropy(torch.func.functional_call(self.model, parameters, (tokens,)).logits, tokens)

    def masked(self, parameters: Any, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss over the batch and the mask of EK-FAC."""
        tokens = batch[0]
        logits = torch.func.functional_call(self.model, parameters, (tokens,)).logits
        return self.cross_entropy(logits, tokens) / len(tokens), torch.ones(tokens.shape)

    def hooked(self, model: nn.Module, batch: Any, _device: str) -> torch.Tensor:
        """The loss of a batch for the attributors that hook modules."""
        return self.cross_entropy(model(batch[0]).logits, batch[0])

    def correct(self, parameters: Any, batch: Any) -> torch.Tensor:
        """The mean probability of the right token that TRAK asks for."""
        tokens = batch[0] if isinstance(batch, tuple | list) else batch
        return torch.exp(-self.functional(parameters, batch) / (tokens.shape[-1] - 1))


def attributor(name: str, given: Setting) -> Any:
    """dattri's object for a setting."""
    model, losses, modules = given.model, Losses(given.model), given.modules
    parameters = [f"{module}.{kind}" for module in modules for kind in ("weight", "bias")]
    if name == "ekfac":
        task = AttributionTask(
            loss_func=losses.masked, model=model, checkpoints=model.state_dict(), target_func=losses.functional
        )
        return IFAttributorEKFAC(task, module_name=modules, damping=1e-3)
    if name == "logra":
        task = AttributionTask(loss_func=losses.hooked, model=model, checkpoints=model.state_dict())
        return LoGraAttributor(task, layer_names=modules, hessian="eFIM", damping=None, proj_dim=1024, offload="none")
    task = AttributionTask(loss_func=losses.functional, model=model, checkpoints=[model.state_dict()])
    if name == "tracin":
        return TracInAttributor(task, weight_list=torch.ones(1), normalized_grad=False, layer_name=parameters)
    projector = {"proj_dim": 1024, "proj_max_batch_size": 16, "device": "cpu"}
    return TRAKAttributor(
        task, correct_probability_func=losses.correct, layer_name=parameters, projector_kwargs=projector
    )


def run(name: str, shape: str, _scratch: Path) -> tuple[dict[str, Any], np.ndarray | None]:
    """One setting, timed; a failure of dattri's is reported, not raised."""
    given = setting(shape)
    few = name in ("trak", "tracin")
    rows, queries = (given.train[:FEW], given.queries[:FEW]) if few else (given.train, given.queries)
    train_loader, query_loader = (DataLoader(TensorDataset(tokens), batch_size=16) for tokens in (rows, queries))
    stages = Stages()
    try:
        tool = attributor(name, given)
        if name != "tracin":
            with stages.stage("cache"):
                tool.cache(train_loader)
        loaders = (query_loader,) if name == "trak" else (train_loader, query_loader)
        with stages.stage("score"):
            scores = tool.attribute(*loaders)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        failed = f"{type(error).__name__}: {str(error)[:160]} ({Path(where.filename).name}, line {where.lineno})"
        return stages.facts() | {"failed": failed}, None
    return stages.facts() | {"rows": len(rows), "queries": len(queries)}, scores.detach().T.numpy()


if __name__ == "__main__":
    answer(run, ["ekfac", "logra", "trak", "tracin"])
