"""When an ability counts as there: chance-corrected score at least tau and beyond what guessing explains."""

import numpy as np
from jaxtyping import Bool, Float

TAU = 0.10
"""Least chance-corrected score (0: chance, 1: perfect); registered before any table was looked at."""
STANDARD_ERRORS = 2.576
"""How many standard errors of guessing a score must exceed chance by (99 %, two-sided)."""
ITEMS_UNKNOWN = 500.0
"""Items assumed where a table does not say how many a score is the mean of."""
FEWEST_ITEMS = 5.0
LEAST_VARIANCE = 0.01
"""Variance below which a proportion of a small sample is not believed: 0 of 20 right is not an error of 0."""

Values = Float[np.ndarray, "point"]


def chance_corrected(score: Values, chance: Values) -> Values:
    """The score on a scale where 0 is guessing and 1 is perfect; negative below chance."""
    return np.asarray((score - chance) / (1 - chance))


def threshold(chance: Values, items: Values) -> Values:
    """The chance-corrected score from which an ability has emerged: tau, or 2.576 standard errors if that is more."""
    guess = np.clip(chance, 0.01, 0.99)
    error = np.sqrt(guess * (1 - guess) / np.maximum(items, FEWEST_ITEMS))
    return np.asarray(np.maximum(TAU, STANDARD_ERRORS * error / (1 - chance)))


def standard_error(score: Values, chance: Values, items: Values) -> Values:
    """Binomial standard error of the chance-corrected score."""
    variance = np.clip(score * (1 - score), LEAST_VARIANCE, None)
    return np.asarray(np.sqrt(variance / np.maximum(items, FEWEST_ITEMS)) / (1 - chance))


def emerged(score: Values, chance: Values, items: Values) -> Bool[np.ndarray, "point"]:
    """Whether the ability is there at each point.

    Trust: accuracy has thresholds of its own; look at a continuous metric too (`artefact`) before calling it a jump.
    """
    corrected = chance_corrected(score, chance)
    guess = np.clip(chance, 0.01, 0.99)
    beyond = STANDARD_ERRORS * np.sqrt(guess * (1 - guess) / np.maximum(items, FEWEST_ITEMS))
    return np.asarray((corrected >= TAU) & (score - chance > beyond))
