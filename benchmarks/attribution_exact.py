"""Agreement of EK-FAC with exact block Gauss-Newton influence on a tiny trained GPT-2; run by `benchmarks.attribution`.

Two layers of width 16, vocabulary 32, 192 rows of 16 tokens from six Markov sources, 24 queries, 6 432 tracked parameters.
The truth is float64 and shares no code with the library: every output's Jacobian by autograd through the parameters, a
block a linear map with its bias, damped by 0.1 x the mean of the block's diagonal.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.attribution_ours import OPTIONS, lengths_of, questions, scores_of
from benchmarks.attribution_shapes import Setting, save, setting, tracked
from imprint.attribution.engine import fit_factors, query_gradients, refine
from imprint.attribution.engine.scoring import score_pass

PRESETS = ("float32", "exact")
VOCABULARY, LENGTH, ROWS, QUERIES, SOURCES = 32, 16, 192, 24, 6
CONFIG = GPT2Config(
    vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=32, attn_pdrop=0.0, embd_pdrop=0.0,
    resid_pdrop=0.0, use_cache=False, attn_implementation="eager", bos_token_id=0, eos_token_id=0,
)  # fmt: skip


def markov_rows(rows: int, seed: int) -> Tensor:
    """Rows of which each follows one of six sparse Markov chains."""
    generator = np.random.default_rng(seed)
    chains = np.random.default_rng(99).dirichlet(np.full(VOCABULARY, 0.08), size=(SOURCES, VOCABULARY))
    tokens = np.zeros((rows, LENGTH), np.int64)
    source = generator.integers(0, SOURCES, rows)
    tokens[:, 0] = generator.integers(0, VOCABULARY, rows)
    for row in range(rows):
        for position in range(1, LENGTH):
            tokens[row, position] = generator.choice(VOCABULARY, p=chains[source[row], tokens[row, position - 1]])
    return torch.from_numpy(tokens)


def row_losses(model: GPT2LMHeadModel, rows: Tensor) -> Tensor:
    """The summed next-token loss of each row."""
    logits = model(rows).logits[:, :-1]
    return F.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none").sum(1)


def trained(rows: Tensor, steps: int = 200, rate: float = 3e-3) -> GPT2LMHeadModel:
    """A model trained by AdamW with warm-up and linear decay."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(CONFIG)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    generator = torch.Generator().manual_seed(1000)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, step / 20) * (1 - step / steps)
        batch = rows[torch.randint(0, len(rows), (32,), generator=generator)]
        optimiser.zero_grad()
        (row_losses(model, batch).mean() / (LENGTH - 1)).backward()
        optimiser.step()
    return model.eval()


def exact_influence(model: GPT2LMHeadModel, rows: Tensor, queries: Tensor) -> np.ndarray:
    """g_query^T (G + damping)^-1 g_row summed over blocks, with G the exact Gauss-Newton matrix of each block."""
    double = model.double()
    modules = [double.get_submodule(name) for name in tracked(double)]
    parameters = [parameter for module in modules for parameter in (module.weight, module.bias)]
    sizes = [module.weight.numel() + module.bias.numel() for module in modules]
    edges = np.cumsum([0, *sizes])
    blocks = [slice(start, stop) for start, stop in pairwise(edges.tolist())]
    newton = [torch.zeros(size, size, dtype=torch.float64) for size in sizes]
    for row in rows:
        for matrix, root in zip(newton, root_jacobian(double, row, parameters).split(sizes, dim=1), strict=True):
            matrix.addmm_(root.T, root)
    ours, theirs = (gradients(double, some, parameters) for some in (rows, queries))
    total = torch.zeros(len(queries), len(rows), dtype=torch.float64)
    for matrix, block in zip(newton, blocks, strict=True):
        mean = matrix / len(rows)
        damped = mean + 0.1 * mean.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64)
        total += theirs[:, block] @ torch.linalg.solve(damped, ours[:, block].T)
    model.float()
    return total.numpy()


def root_jacobian(model: GPT2LMHeadModel, row: Tensor, parameters: list[Tensor]) -> Tensor:
    """[position x vocabulary, parameter] whose Gram matrix is J^T (diag p - p p^T) J of one row."""
    logits = model(row[None]).logits[0, :-1]
    outputs = logits.numel()
    basis = torch.eye(outputs, dtype=logits.dtype).view(outputs, *logits.shape)
    pieces = torch.autograd.grad(logits, parameters, basis, is_grads_batched=True)
    jacobian = torch.cat([piece.reshape(outputs, -1) for piece in pieces], dim=1).view(*logits.shape, -1)
    chances = logits.detach().softmax(-1)[..., None]
    return (chances.sqrt() * (jacobian - (chances * jacobian).sum(1, keepdim=True))).flatten(0, 1)


def gradients(model: GPT2LMHeadModel, rows: Tensor, parameters: list[Tensor]) -> Tensor:
    """The gradient of each row's summed loss, flat."""
    found = []
    for row in rows:
        pieces = torch.autograd.grad(row_losses(model, row[None]).sum(), parameters)
        found.append(torch.cat([piece.flatten() for piece in pieces]))
    return torch.stack(found)


def make_world(path: Path) -> None:
    """Train the model and store it, its data and the exact influence, where they are not yet there."""
    torch.set_num_threads(1)
    truth = path.with_suffix(".npy")
    if path.exists() and truth.exists():
        return
    rows, queries = markov_rows(ROWS, 1), markov_rows(QUERIES, 2)
    model = trained(rows)
    save(model, rows, queries, path)
    np.save(truth, exact_influence(model, rows, queries))


def compare(world: Path, peers: Path) -> dict[str, float]:
    """Mean Spearman over queries with the exact influence: ours by preset, and every peer that left scores."""
    truth = np.load(world.with_suffix(".npy"))
    scores = {f"imprint_{preset}": scores_of(preset, setting(str(world))) for preset in PRESETS}
    scores["imprint_refined"] = refined(setting(str(world)))
    for place in sorted(peers.glob("*/scores.npy")):
        scores[place.parent.name] = np.load(place)
    return {name: spearman(found, truth) for name, found in scores.items()}


def refined(given: Setting) -> np.ndarray:
    """Scores along directions that ten steps of conjugate gradients took from EK-FAC towards the exact inverse."""
    space, queries = questions("exact", given)
    rows = given.train, lengths_of(given.train)
    factors = fit_factors(given.model, space, *rows, OPTIONS["float32"], seed=0)
    directions = refine(given.model, space, factors, query_gradients(given.model, space, queries), *rows)
    found = score_pass(given.model, space, directions, *rows, by_token=False, norms=False)
    return torch.cat(found.rows, dim=2).sum(1).numpy()


def spearman(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean over queries of the Spearman correlation over rows."""
    return float(np.mean([spearmanr(one, other).statistic for one, other in zip(scores, truth, strict=True)]))


if __name__ == "__main__":
    if sys.argv[1] == "world":
        make_world(Path(sys.argv[2]))
    else:
        sys.stdout.write(json.dumps(compare(Path(sys.argv[2]), Path(sys.argv[3]))) + "\n")
