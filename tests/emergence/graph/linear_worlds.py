"""Simulated designs with known effects: linear worlds in time tiers, run in every arm at every scale and seed."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from imprint.emergence.graph import CausalGraph, Observations

SCALES = (1e5, 3e5, 1e6)


def chain_graph(edges: Sequence[tuple[str, str, str]] = (("A", "B", "+"), ("B", "C", "-"))) -> CausalGraph:
    nodes = [
        {"name": "A", "kind": "component", "tier": "early"},
        {"name": "B", "kind": "dynamics", "tier": "middle"},
        {"name": "C", "kind": "ability", "tier": "late"},
        {"name": "D", "kind": "ability", "tier": "late"},
    ]
    return CausalGraph.of(
        title="chain",
        tiers=["early", "middle", "late"],
        nodes=nodes,
        edges=[{"cause": cause, "effect": effect, "sign": sign} for cause, effect, sign in edges],
    )


def simulate(
    weights: Mapping[tuple[str, str], float],
    arms: Mapping[str, Mapping[str, float]],
    *,
    names: Sequence[str] = ("A", "B", "C", "D"),
    scales: Sequence[float] = SCALES,
    seeds: int = 3,
    shared: float = 1.0,
    noise: float = 0.1,
    seed: int = 0,
    shift: Mapping[float, float] | None = None,
) -> Observations:
    """Runs of a linear world: a disturbance that arms of one seed and scale share, and one of each run's own."""
    generator = np.random.default_rng(seed)
    rows = []
    for scale in scales:
        for number in range(seeds):
            common = dict(zip(names, shared * generator.standard_normal(len(names)), strict=True))
            for arm in ("control", *arms):
                values: dict[str, float] = {}
                for name in names:
                    caused = sum(weights.get((cause, name), 0.0) * values[cause] for cause in values)
                    values[name] = common[name] + noise * float(generator.standard_normal()) + caused
                    values[name] += (shift or {}).get(scale, 0.0)
                    values[name] = arms.get(arm, {}).get(name, values[name])
                    rows.append((f"{arm}-{scale:g}-{number}", number, scale, arm, name, float(values[name])))
    table = pl.DataFrame(rows, schema=["run", "seed", "scale", "arm", "node", "value"], orient="row")
    return Observations(table=table, interventions={arm: tuple(sets) for arm, sets in arms.items()})
