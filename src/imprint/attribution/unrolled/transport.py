"""TracIn over the checkpoints of every stage, as if later training carried every change of the parameters unchanged."""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from imprint.attribution.engine.queries import Query
from imprint.attribution.unrolled.parameters import Params, parameter_gradient
from imprint.attribution.unrolled.replay import bind
from imprint.attribution.unrolled.slopes import exposed_slopes
from imprint.attribution.unrolled.training import Training
from imprint.errors import ConfigError


def tracin_scores(
    training: Training,
    queries: Sequence[Query],
    *,
    every: int = 1,
    at: Literal["final", "checkpoint"] = "final",
) -> list[Float[Tensor, "query _row"]]:
    """For each stage the sum over its checkpoints of - exposure x grad L . grad f, in query units; a heuristic.

    Positive = training on the example raises the query. A checkpoint stands for the next `every` updates; the exposure is
    the sum over an example's draws in them of rate / batch size. With `at="final"` grad f is the final model's, carried
    back through all later updates by the identity in place of their Jacobian (identity transport). With "checkpoint" it is
    the checkpoint's own: the original TracIn, whose sum over all examples tends to f(after) - f(before) as the rate
    goes to 0 with every=1 and plain SGD.
    Source: Pruthi et al. 2020. Trust: across stages a heuristic, no estimate: what a later stage unlearns still counts in
    full, so its error grows with the number of later updates (AT-IF-7). AdamW is taken for gradient descent.

    Raises:
        ConfigError: there is no query, or `every` is not positive.
        SelfCheckFailed: the run diverges, or a query does not depend on the parameters.
    """
    if not queries or every < 1:
        raise ConfigError("TracIn needs at least one query and checkpoints at least 1 update apart")
    final = _gradients(training, training.run(), queries) if at == "final" else None
    params, found = training.initial, []
    for stage in training.stages:
        course = bind(training.model, stage, params, None)
        scores = course.base.new_zeros(len(queries), stage.rows)
        for state in course.states(course.first(), stage.steps):
            if state.step % every == 0 and state.step < stage.steps:
                directions = final or _gradients(training, course.assembled(state), queries)
                exposure = stage.exposure(state.step, min(state.step + every, stage.steps))
                scores -= exposed_slopes(course, state.variables, directions, exposure)
        params = course.assembled(state)
        found.append(scores)
    return found


def _gradients(training: Training, params: Params, queries: Sequence[Query]) -> list[Tensor]:
    return [parameter_gradient(training.model, params, query.name, query.measure) for query in queries]
