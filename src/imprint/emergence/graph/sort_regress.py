"""Orders that data give away without any causal reasoning: by variance and by predictability (Reisach et al. 2021, 2023).

A discovery method that does no better than these has read the scale of the variables, not their causes.
"""

import warnings

import numpy as np
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoLarsIC, LinearRegression

Values = Float[np.ndarray, "run node"]
Adjacency = Float[np.ndarray, "cause effect"]


def variance_sort_regress(values: Values) -> Adjacency:
    """VarSortnRegress: nodes ordered by variance, each then regressed on those before it (adaptive lasso, BIC)."""
    return sort_regress(values, values.var(0))


def r2_sort_regress(values: Values) -> Adjacency:
    """R2-SortnRegress: the same, ordered by how well all others predict a node; standardising does not undo it."""
    return sort_regress(values, explained(values))


def explained(values: Values) -> Float[np.ndarray, "node"]:
    """R² of every node regressed on all others."""
    found = []
    for place in range(values.shape[1]):
        others = np.delete(values, place, axis=1)
        found.append(LinearRegression().fit(others, values[:, place]).score(others, values[:, place]))
    return np.array(found, dtype=float)


def sort_regress(values: Values, order: Float[np.ndarray, "node"]) -> Adjacency:
    """Non-zero where a node that comes earlier in the order is kept as a regressor of a later one."""
    ranked = np.argsort(order, kind="stable")
    found = np.zeros((values.shape[1], values.shape[1]))
    for place in range(1, len(ranked)):
        before, target = ranked[:place], ranked[place]
        weight = np.abs(LinearRegression().fit(values[:, before], values[:, target]).coef_)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # the path may end early; BIC then picks among what it has
            lasso = LassoLarsIC(criterion="bic").fit(values[:, before] * weight, values[:, target])
        found[before, target] = lasso.coef_ * weight
    return found
