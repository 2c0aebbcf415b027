"""Worlds of trajectories whose truth is known: every ability is a sigmoid of log scale, measured with binomial noise."""

import numpy as np
import polars as pl


def planted_table(*, families=3, tasks=12, sizes=7, items=400, seed=0, noise=True):
    """A family's models from 10M on, factor 3 apart; a task's middle is its own, families are shifted a little."""
    generator = np.random.default_rng(seed)
    middles = generator.uniform(7.2, 11.0, tasks)
    shifts = np.linspace(-0.2, 0.2, families)
    params = 1e7 * 3.0 ** np.arange(sizes)
    rows = []
    for family in range(families):
        for task in range(tasks):
            chance = (0.0, 0.25, 0.5)[task % 3]
            ability = 0.8 / (1 + np.exp(-(np.log10(params) - middles[task] - shifts[family]) / 0.15))
            truth = chance + (1 - chance) * ability
            score = generator.binomial(items, truth) / items if noise else truth
            rows += [
                row(
                    family=f"f{family}",
                    task=f"skill{task % 4}_{task}",
                    params=size,
                    score=value,
                    chance=chance,
                    n=items,
                )
                for size, value in zip(params, score, strict=True)
            ]
    return pl.DataFrame(rows)


def row(**changes):
    """One row in the columns of PROVENANCE."""
    plain = {
        "source": "planted",
        "family": "f",
        "model": "",
        "variant": "base",
        "params": 1e7,
        "tokens": None,
        "flops": None,
        "step": None,
        "task": "t",
        "shots": 0.0,
        "metric": "acc",
        "score": 0.5,
        "stderr": None,
        "n": 100.0,
        "chance": 0.25,
        "higher_is_better": 1.0,
    }
    merged = plain | changes
    return merged | {"model": merged["model"] or f"{merged['family']}-{merged['params']:g}"}


def asked(table, *, limit, fewest=2):
    """Questions across `limit` (raw parameters) that the table answers, with the answers."""
    rows = []
    for (family, task), part in table.sort("params").group_by(["family", "task"], maintain_order=True):
        corrected = (part["score"] - part["chance"]) / (1 - part["chance"])
        there = (corrected >= 0.15).to_list()
        params = part["params"].to_list()
        for count in range(fewest, len(params)):
            if params[count - 1] > limit or any(there[:count]):
                continue
            for later in range(count, len(params)):
                if params[later] > limit:
                    rows.append(
                        {
                            "question_id": f"q{len(rows)}",
                            "source": "planted",
                            "family": family,
                            "task": task,
                            "shots": 0.0,
                            "variant": "base",
                            "axis": "params",
                            "origin": params[count - 1],
                            "horizon": params[later],
                            "answer": there[later],
                        }
                    )
    return pl.DataFrame(rows)
