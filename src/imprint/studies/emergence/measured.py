"""A run's trajectory: at every checkpoint its score in each ability, and the dynamics that the graph speaks of."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities.abilities import ability_answers, ability_panel
from imprint.capabilities.repeats import RepeatProbe, repeat_probe
from imprint.corpus import AbilitiesWorld
from imprint.corpus.abilities import BOS, SYMBOLS
from imprint.mechanisms import prefix_matching, previous_token
from imprint.models import Anatomy, Train, attention_patterns, checkpoint_steps, evaluating, open_checkpoint, record
from imprint.models.loss import token_losses
from imprint.runs import Context, Step

TRAJECTORY_FILE = "trajectory.parquet"
_PERIOD = 20
_PROBE_ROWS = 8
_HELD_OUT_SEED = 2


class MeasureRun(Step):
    """The trajectory of one run: `trajectory.parquet` with step, node, kind, value, and for abilities chance, n, log_prob.

    A run under edits is measured under those that held in its last update, since they are part of the model.
    """

    run: Train
    world: AbilitiesWorld
    """Whose held-out rows and questions are used: that of the untouched runs, for every arm."""
    items: int = Field(ge=1)
    rows: int = Field(ge=1)
    abilities: tuple[str, ...]
    dynamics: tuple[str, ...]
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Train (or reuse) the run and measure every checkpoint."""
        trained = context.get(self.run)
        torch.set_num_threads(1)
        panel = [
            items
            for items in ability_panel(count=self.items, seed=self.seed, world=self.world)
            if items.ability in self.abilities
        ]
        held_out = torch.from_numpy(self.world.sample(self.rows, _HELD_OUT_SEED)[0])
        rows: list[dict[str, object]] = []
        for step in checkpoint_steps(trained):
            model = open_checkpoint(trained, step)
            with self.run.as_trained(model, step):
                for items in panel:
                    answers = ability_answers(model, items)
                    rows.append(_ability_row(step, items.ability, answers))
                rows += [
                    {"step": step, "node": name, "kind": "dynamics", "value": value}
                    for name, value in _dynamics(model, held_out, self.dynamics).items()
                ]
            context.advance(1)
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / TRAJECTORY_FILE)


def _ability_row(step: int, ability: str, answers: pl.DataFrame) -> dict[str, object]:
    means = answers.select(pl.col("correct", "chance", "log_prob").mean()).row(0, named=True)
    score = {"value": means["correct"], "chance": means["chance"], "n": len(answers), "log_prob": means["log_prob"]}
    return {"step": step, "node": ability, "kind": "ability", **score}


def _dynamics(model: PreTrainedModel, held_out: Tensor, wanted: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    if "loss" in wanted or "gradient norm" in wanted:
        found |= _loss_and_gradient(model, held_out)
    if "previous-token attention" in wanted or "induction attention" in wanted:
        found |= _attention(model)
    return {name: found[name] for name in wanted}


def _loss_and_gradient(model: PreTrainedModel, held_out: Tensor) -> dict[str, float]:
    """Mean loss in nats a token, and the Euclidean norm of its gradient over all parameters."""
    with evaluating(model), torch.enable_grad():
        model.zero_grad(set_to_none=True)
        loss = token_losses(model(held_out[:, :-1], use_cache=False).logits, held_out[:, 1:]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        squares = [parameter.grad.square().sum() for parameter in model.parameters() if parameter.grad is not None]
        norm = torch.stack(squares).sum().sqrt()
        model.zero_grad(set_to_none=True)
    return {"loss": loss.item(), "gradient norm": norm.item()}


def _attention(model: PreTrainedModel) -> dict[str, float]:
    """The largest previous-token and induction score of any head that still says something, on repeats of random tokens."""
    probe: RepeatProbe = repeat_probe(range(SYMBOLS), period=_PERIOD, rows=_PROBE_ROWS, seed=0, bos=BOS)
    sites = [f"L{layer}.z" for layer in range(Anatomy(model).num_layers)]
    with torch.no_grad(), record(model, sites) as states:
        patterns = attention_patterns(model, probe.tokens)
    heads = Anatomy(model).num_heads
    rows, length, _ = states[sites[0]].shape
    spread = [states[site].view(rows, length, heads, -1).flatten(0, 1) for site in sites]
    alive = torch.stack([(one.amax(0) > one.amin(0)).any(-1) for one in spread])
    scores = {
        "previous-token attention": previous_token(patterns),
        "induction attention": prefix_matching(patterns, probe),
    }
    return {name: float((score * alive).max()) for name, score in scores.items()}
