"""Repeated random sequences: the probe that separates copying from everything else a model knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.models import evaluating, log_probs_of
from imprint.stats import Effect, bootstrap_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatProbe:
    """Rows of [BOS] r r with |r| = `period`, tokens of r all different, and where to look in them.

    `query` are the positions t in the second r whose next token is known; a copying model attends `match` = the position
    after t's token came before (t - period + 1), and predicts `tokens[t + 1]`. `unrelated` are the same rows with another
    first r, so that nothing can be copied.
    """

    tokens: Int[Tensor, "row seq"]
    unrelated: Int[Tensor, "row seq"]
    period: int
    alphabet_size: int

    @property
    def query(self) -> Int[Tensor, "query"]:
        """Positions in the second copy whose continuation is determined by the first."""
        length = self.tokens.shape[1]
        return torch.arange(length - self.period, length - 1)

    @property
    def match(self) -> Int[Tensor, "query"]:
        """For each query position, the position of the token to be copied."""
        return self.query - self.period + 1

    @property
    def chance(self) -> float:
        """Accuracy of guessing uniformly among the probe's alphabet."""
        return 1.0 / self.alphabet_size


def repeat_probe(
    alphabet: Sequence[int], *, period: int, rows: int, seed: int, bos: int | None, context: int | None = None
) -> RepeatProbe:
    """A probe of `rows` sequences drawn from `alphabet` without replacement within each r.

    Without replacement, a perfect head scores exactly 1; with it, only .70 at 50 tokens (METHODS P4). Without a BOS,
    position 0 attends itself and a perfect head scores 1 - .5 / (period - 1) (P3).

    Raises:
        ConfigError: the alphabet is smaller than the period or holds the BOS, or the sequences do not fit the context.
    """
    _check_alphabet(alphabet, bos)
    if period < 2 or len(set(alphabet)) < period:
        raise ConfigError(
            f"period {period} needs at least 2 and at most {len(set(alphabet))} tokens, the alphabet's size"
        )
    length = 2 * period + (bos is not None)
    if context is not None and length > context:
        raise ConfigError(f"two periods of {period} tokens need {length} positions but the context is {context}")
    generator = np.random.default_rng(seed)
    tokens = np.unique(np.asarray(alphabet))
    segments = np.stack([generator.permutation(tokens)[:period] for _ in range(2 * rows)])
    start = np.full((rows, int(bos is not None)), bos if bos is not None else 0)
    first, other = segments[:rows], segments[rows:]
    return RepeatProbe(
        tokens=torch.from_numpy(np.concatenate([start, first, first], axis=1)),
        unrelated=torch.from_numpy(np.concatenate([start, other, first], axis=1)),
        period=period,
        alphabet_size=len(tokens),
    )


def random_period_probes(
    alphabet: Sequence[int], *, rows: int, seed: int, bos: int | None, context: int, periods: int = 2
) -> list[RepeatProbe]:
    """Probes at `periods` different random periods, so that a head that attends a fixed distance back is found out (P2).

    The longest period is the largest that fits twice into the context; the others are drawn between a half and four
    fifths of it, so that a head that looks roughly that far back does not pass at both.
    """
    longest = min((context - (bos is not None)) // 2, len(set(alphabet)))
    shorter = np.arange(max(2, longest // 2), max(3, int(0.8 * longest) + 1))
    if longest < 4 or len(shorter) < periods - 1:
        raise ConfigError(f"a context of {context} tokens is too short for {periods} different repeat periods")
    drawn = np.random.default_rng(seed).permutation(shorter)[: periods - 1]
    return [
        repeat_probe(alphabet, period=int(period), rows=rows, seed=seed + number, bos=bos, context=context)
        for number, period in enumerate([longest, *sorted(drawn, reverse=True)])
    ]


def _check_alphabet(alphabet: Sequence[int], bos: int | None) -> None:
    if bos in alphabet:
        raise ConfigError(f"the alphabet holds the BOS token {bos}, which would be its own second match; leave it out")


@torch.no_grad()
def _logits(model: PreTrainedModel, tokens: Int[Tensor, "row seq"]) -> Float[Tensor, "row seq vocabulary"]:
    """The logits of one forward pass, whatever mode the model is in, on its device."""
    with evaluating(model):
        logits: Tensor = model(tokens.to(model.device), use_cache=False).logits
    return logits


def copying(
    model: PreTrainedModel, probe: RepeatProbe
) -> tuple[Float[Tensor, "row query"], Float[Tensor, "row query"]]:
    """`copy_log_probs` and `copy_hits` from one forward pass, on the CPU and at least in single precision."""
    logits = _logits(model, probe.tokens)[:, probe.query]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    copies = probe.tokens[:, probe.query + 1].to(logits.device)
    return log_probs_of(logits, copies).cpu(), (logits.argmax(-1) == copies).float().cpu()


def copy_log_probs(model: PreTrainedModel, probe: RepeatProbe) -> Float[Tensor, "row query"]:
    """The model's log-probability of each token of the second copy, in nats."""
    return copying(model, probe)[0]


def copy_hits(model: PreTrainedModel, probe: RepeatProbe) -> Float[Tensor, "row query"]:
    """One where the model's top prediction is the copied token, else zero."""
    return copying(model, probe)[1]


def copy_accuracy(model: PreTrainedModel, probes: Sequence[RepeatProbe], *, seed: int = 0) -> Effect:
    """Share of second-copy tokens predicted right, with an interval over sequences; chance is 1 / alphabet size."""
    rows = np.concatenate([copy_hits(model, probe).mean(1).numpy() for probe in probes]).astype(np.float64)
    return bootstrap_mean(
        rows, seed=seed, unit="item", control_name=f"chance {probes[0].chance:.4f}", metric="copy.accuracy"
    )


def fewshot_hits(
    model: PreTrainedModel, alphabet: Sequence[int], *, shots: int, rows: int, seed: int, bos: int | None
) -> Float[Tensor, "row"]:
    """One where the model completes a k-shot associative recall: x1 y1 ... xk yk xi -> yi, fresh random pairs each row.

    Trust: chance is 1 / alphabet, but a model that names any of the answers it has seen is right in 1 / shots.
    """
    _check_alphabet(alphabet, bos)
    tokens = np.unique(np.asarray(alphabet))
    if len(tokens) < 2 * shots:
        raise ConfigError(f"{shots} shots need {2 * shots} different tokens but the alphabet has {len(tokens)}")
    generator = np.random.default_rng(seed)
    pairs = np.stack([generator.permutation(tokens)[: 2 * shots] for _ in range(rows)])
    asked = generator.integers(0, shots, rows)
    lines = np.arange(rows)
    start = np.full((rows, int(bos is not None)), bos if bos is not None else 0)
    prompt = np.concatenate([start, pairs, pairs[lines, 2 * asked][:, None]], axis=1)
    answer = torch.from_numpy(pairs[lines, 2 * asked + 1])
    predicted = _logits(model, torch.from_numpy(prompt))[:, -1].argmax(-1).cpu()
    return (predicted == answer).float()
