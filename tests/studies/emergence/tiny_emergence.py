"""A tiny emergence study: file content, and tables of measured runs made by hand."""

import copy

import polars as pl

from imprint.studies import parse_study

GRAPH = {
    "title": "tiny",
    "tiers": ["before", "early", "late"],
    "nodes": [
        {"name": "novel repeats", "kind": "data", "tier": "before"},
        {"name": "heads", "kind": "component", "tier": "before"},
        {"name": "loss", "kind": "dynamics", "tier": "early"},
        {"name": "copy", "kind": "ability", "tier": "late"},
        {"name": "brackets", "kind": "ability", "tier": "late"},
    ],
    "edges": [
        {"cause": "novel repeats", "effect": "copy", "sign": "+"},
        {"cause": "heads", "effect": "copy", "sign": "+"},
        {"cause": "heads", "effect": "brackets", "sign": "+"},
    ],
}
CONTENT = {
    "kind": "emergence",
    "title": "Tiny",
    "world": {"context": 24},
    "graph": GRAPH,
    "scales": [{"name": "s", "width": 8, "heads": 2}, {"name": "m", "width": 16, "heads": 2}],
    "seeds": 2,
    "training": {"steps": 12, "checkpoints": 3, "batch": 4},
    "interventions": [
        {"name": "few repeats", "sets": ["novel repeats"], "shares": {"novel repeats": 0.02}},
        {"name": "no heads", "sets": ["heads"], "edits": [{"action": "ablate", "sites": ["L0.z"]}]},
    ],
    "measuring": {"items": 20, "rows": 8},
    "held_out": {"scale": {"name": "l", "width": 24, "heads": 2}, "seeds": 2},
    "allocating": {"replications": 2},
}
PARAMS = {"s": 1e4, "m": 1e5, "l": 1e6}
CHANCE = {"copy": 0.0, "brackets": 1 / 3}


def content(**changes):
    return copy.deepcopy(CONTENT) | changes


def study(**changes):
    return parse_study(content(**changes), where="tiny")


def table(scores, *, steps=(40, 80, 120, 160), seeds=(0, 1, 2), items=400, loss=2.0, jitter=0.004):
    """A measured table: `scores[scale][arm][ability]` are the chance-corrected scores at the steps."""
    rows = []
    for scale, by_arm in scores.items():
        for arm, by_ability in by_arm.items():
            for seed in seeds:
                place = {"scale": scale, "params": PARAMS[scale], "arm": arm, "seed": seed}
                for index, step in enumerate(steps):
                    at = place | {"step": step, "tokens": 100.0 * step}
                    rows.append(at | {"node": "loss", "kind": "dynamics", "value": loss - 0.1 * index + 0.01 * seed})
                    for ability, values in by_ability.items():
                        chance = CHANCE[ability]
                        off = jitter * (seed - 1) * (1 + (arm == "control"))
                        score = chance + (1 - chance) * min(max(values[index] + off, 0.0), 1.0)
                        more = {"chance": chance, "n": items, "log_prob": -3.0 + values[index]}
                        rows.append(at | {"node": ability, "kind": "ability", "value": score} | more)
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("seed").cast(pl.Int32))
