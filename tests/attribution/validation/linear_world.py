"""A world that is retrained in closed form: ridge regression in steps of the store, with noise that depends on the seed."""

import numpy as np

from imprint.attribution.validation import RetrainableWorld

ROWS, INPUTS, QUERIES = 60, 4, 5


class LinearWorld(RetrainableWorld):
    """Minus the squared error of each query after ridge regression on the kept rows."""

    noise: float = 0.0
    diverges: bool = False

    def retrainer(self, context, seed):
        """Solves; every solution is counted in `calls`."""
        data, calls = draw(), CALLS
        noise = np.random.default_rng(seed)

        def retrain(dropped):
            calls.append((seed, tuple(dropped)))
            kept = np.setdiff1d(np.arange(ROWS), dropped)
            return values(data, kept) / (0.0 if self.diverges else 1.0) + self.noise * noise.standard_normal(QUERIES)

        return retrain


CALLS = []


def draw():
    generator = np.random.default_rng(0)
    x, queries = generator.standard_normal((ROWS, INPUTS)), generator.standard_normal((QUERIES, INPUTS))
    truth = generator.standard_normal(INPUTS)
    return x, x @ truth + generator.standard_normal(ROWS), queries, queries @ truth + 1


def values(data, kept, ridge=1.0):
    x, y, queries, targets = data
    weights = np.linalg.solve(x[kept].T @ x[kept] + ridge * np.eye(INPUTS), x[kept].T @ y[kept])
    return -0.5 * (queries @ weights - targets) ** 2


def influence(data, ridge=1.0):
    """The first-order effect of each row on each query's value: positive = the row raises it."""
    x, y, queries, targets = data
    hessian = x.T @ x + ridge * np.eye(INPUTS)
    weights = np.linalg.solve(hessian, x.T @ y)
    gradients = (x @ weights - y)[:, None] * x
    wanted = -(queries @ weights - targets)[:, None] * queries
    return -wanted @ np.linalg.solve(hessian, gradients.T)
