"""Questions about curves as a run graph: the other tasks of the same line, as far as they were seen, are the evidence."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from imprint.emergence.graph_network.run_graph import RunGraph
from imprint.emergence.trajectories import Curve, Question
from imprint.emergence.trajectories.curves import before
from imprint.errors import InputError

RECENT = 3
Setting = tuple[str, float]
"""A line and how many shots."""


def curve_graph(
    curves: Sequence[Curve],
    asked: Sequence[Question],
    own: Float[np.ndarray, "question feature"],
    tasks: Sequence[str],
    *,
    beside: Iterable[Curve] = (),
) -> RunGraph:
    """A run is a line at an origin; a node is a task, by its place in `tasks`; evidence is a task's past up to the origin.

    `own` are the features of the questions (`predictor.examples.features`). `beside` are further curves that may be seen up to
    the origin. Evidence: last score above threshold, best score above threshold, slope, emerged, score minus the line's mean.

    Raises:
        InputError: a task of a curve is not among `tasks`.
    """
    place = {task: number for number, task in enumerate(tasks)}
    together: dict[Setting, list[Curve]] = defaultdict(list)
    for curve in {curve.key: curve for curve in (*beside, *curves)}.values():
        if curve.task not in place:
            raise InputError(f"task '{curve.task}' is not among the tasks of the kinship: name every task")
        together[(curve.line, curve.shots)].append(curve)
    origins = [_origin(curves, question) for question in asked]
    runs = {origin: number for number, origin in enumerate(dict.fromkeys(origins))}
    rows, nodes, counts = [], [], []
    for line, shots, x in runs:
        seen = [(place[curve.task], cut) for curve in together[(line, shots)] if (cut := before(curve, x)) is not None]
        mean = float(np.mean([cut.z[-1] for _, cut in seen]))
        rows += [_evidence(cut, mean) for _, cut in seen]
        nodes += [node for node, _ in seen]
        counts.append(len(seen))
    return RunGraph(
        evidence=np.array(rows, dtype=float).reshape(-1, 5),
        evidence_run=np.repeat(np.arange(len(runs)), counts).astype(np.int64),
        evidence_node=np.array(nodes, dtype=np.int64),
        questions=own,
        question_run=np.array([runs[origin] for origin in origins], dtype=np.int64),
        question_ability=np.array([place[curves[question.curve].task] for question in asked], dtype=np.int64),
        emerged=np.array([question.emerged for question in asked], dtype=bool),
        among_tasks=True,
    )


def _origin(curves: Sequence[Curve], question: Question) -> tuple[str, float, float]:
    curve = curves[question.curve]
    return curve.line, curve.shots, float(curve.x[question.count - 1])


def _evidence(seen: Curve, mean: float) -> tuple[float, ...]:
    bar = float(seen.threshold[-1])
    x, z = seen.x[-RECENT:], seen.z[-RECENT:]
    slope = float(((x - x.mean()) * z).sum() / (((x - x.mean()) ** 2).sum() + 0.01))
    return float(seen.z[-1] - bar), float(seen.z.max() - bar), slope, float(seen.emerged[-1]), float(seen.z[-1] - mean)
