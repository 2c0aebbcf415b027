"""One score a row of a stage, by the row's name, and the rows at both ends."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from imprint.attribution.agreement import Agreement, all_pairs
from imprint.attribution.engine.scores import SIGN
from imprint.errors import CorpusError, InputError, IntegrityError, SelfCheckFailed
from imprint.runs import derive, read_json, write_json, writing
from imprint.stats.samples import top_count

_VALUES, _IDS, _WORDS = "scores.npy", "ids.json", "scores.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageScores:
    """What each row of a stage is held to do to the outcome. Positive: training on the row raises it.

    Trust: a sum of scores is not the effect of removing those rows together; running the pipeline without them is.
    """

    ids: tuple[str, ...]
    values: Float64[np.ndarray, "row"]
    method: str
    checks: dict[str, float]
    """What the run found out about itself, by name."""

    def __post_init__(self) -> None:
        """Refuse scores that are not one finite number a row."""
        if len(self.ids) != len(self.values) or len(set(self.ids)) != len(self.ids):
            raise InputError(
                f"{len(self.values)} scores do not fit {len(set(self.ids))} row names: give one of each a row."
            )
        bad = np.flatnonzero(~np.isfinite(self.values))
        if len(bad):
            raise SelfCheckFailed(
                f"{len(bad)} scores of {self.method} are not finite, the first is that of row '{self.ids[bad[0]]}'; look for a"
                " diverged stage"
            )

    def top(self, fraction: float) -> tuple[str, ...]:
        """The rows with the highest scores, highest first; rows of equal score in the order of their names.

        Raises:
            InputError: the fraction is not between 0 and 1.
        """
        return self._first(-self.values, fraction)

    def bottom(self, fraction: float) -> tuple[str, ...]:
        """The rows with the lowest scores, lowest first; rows of equal score in the order of their names."""
        return self._first(self.values, fraction)

    def random(self, fraction: float, seed: int, *, without: Collection[str] = ()) -> tuple[str, ...]:
        """As many rows drawn at random from all others than `without`, whatever their scores and order in the corpus."""
        names = sorted({*self.ids} - {*without})
        count = min(top_count(len(self.ids), fraction), len(names))
        draws = np.random.default_rng(derive(seed, "random rows")).permutation(len(names))[:count]
        return tuple(names[place] for place in sorted(draws))

    def _first(self, keys: Float64[np.ndarray, "row"], fraction: float) -> tuple[str, ...]:
        count = top_count(len(self.ids), fraction)
        return tuple(name for _, name in sorted(zip(keys.tolist(), self.ids, strict=True))[:count])

    def save(self, folder: Path) -> None:
        """Write `scores.npy`, `ids.json` and `scores.json` into `folder` (made if absent)."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / _VALUES, self.values, allow_pickle=False)
            write_json(folder / _IDS, list(self.ids))
            write_json(folder / _WORDS, {"method": self.method, "sign": SIGN, "checks": self.checks})

    @classmethod
    def load(cls, folder: Path) -> "StageScores":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        try:
            values, ids = np.load(folder / _VALUES, allow_pickle=False), tuple(read_json(folder / _IDS))
            words = read_json(folder / _WORDS)
        except (OSError, ValueError, EOFError, InputError, IntegrityError) as error:
            raise CorpusError(f"{folder} does not hold complete stage scores ({error}); compute them again.") from error
        return cls(ids=ids, values=values, method=words["method"], checks=words["checks"])


def stage_agreements(scores: Sequence[StageScores], *, fraction: float) -> tuple[Agreement, ...]:
    """How far every two methods agree on the same rows; see `agree`.

    Raises:
        InputError: they scored different rows.
    """
    names = sorted(scores[0].ids)
    if any(sorted(one.ids) != names for one in scores):
        raise InputError("scores of different rows cannot be compared: score the same stage with every method.")
    return all_pairs({one.method: _sorted(one) for one in scores}, fraction=fraction)


def _sorted(scores: StageScores) -> Float64[np.ndarray, "row"]:
    return np.asarray(scores.values[np.argsort(np.array(scores.ids))])
