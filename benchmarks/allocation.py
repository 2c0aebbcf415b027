"""Adaptive scaling: freeze-thaw allocation against every comparator, on public replays and on planted worlds.

Run with `python -m benchmarks.allocation --data FOLDER --json`; FOLDER holds the public tables (gemstones.parquet,
pythia.parquet, raw/regmix_*.csv). Without `--data` only the planted worlds are run. All policies have the same budget, the
compute of all arms, and pay for every checkpoint that they look at. The unit of every interval is the task.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from imprint.emergence.allocation import (
    OURS,
    UNTAUGHT,
    Caution,
    PolicyMaker,
    Prior,
    Problem,
    Proxies,
    TaskWorld,
    allocate,
    contenders,
    crossing_world,
    flat_world,
    freeze_thaw,
    guesser,
    history_of,
    oracle,
    ordered_world,
    over_oracle,
    predict_losses,
    problems,
    race,
    random_search,
    read_history,
    reversal_world,
    sleeper_world,
    successive_halving,
    task_worlds,
    transfer,
    uniform_exposure,
)
from imprint.stats import Effect, bootstrap_mean
from imprint.studies.replayed_allocation import summarise, taught_priors

PYTHIA = {"metric": "acc", "family": "pythia-v1", "variant": "zero-shot"}
PYTHIA_TASKS = ("arc_easy", "lambada_openai", "piqa", "sciq", "winogrande")
HALVING = ("successive halving 2", "successive halving 3", "successive halving 4", "Hyperband 3", "ASHA 2", "ASHA 3")
LARGER = ("test_mixture_60m", "test_pile_loss_60m")
FOREIGN = "freeze-thaw (another family's history)"
UNIFORM = ("uniform (tokens)", "uniform (compute)")


def replay(worlds: list[TaskWorld], replications: int, foreign: Prior) -> dict[str, Any]:
    """Every policy on the three targets of every task; then on those targets alone that not every arm reaches.

    Freeze-thaw comes with three priors: learned from the other tasks here, learned from another family of models on its own
    tasks (`foreign`), and the default.
    """
    posed, taught = problems(worlds), taught_priors(worlds)

    def policies(problem: Problem) -> dict[str, PolicyMaker]:
        return contenders(problem, taught) | {FOREIGN: freeze_thaw(prior=foreign)}

    raced = race(posed, policies=policies, replications=replications)
    found = summarise(raced, posed, replications, 1.0).as_dict()
    hard = raced.filter(pl.col("reaching") < 1)
    found["non-trivial"] = {
        "problems": len([one for one in posed if one.reaching < 1]),
        "ratio": {name: over_oracle(hard, name).as_dict() for name in dict.fromkeys(raced["policy"])},
    }
    found["replication 0"] = {
        name: over_oracle(raced.filter(pl.col("replication") == 0), name).as_dict()
        for name in dict.fromkeys(raced["policy"])
    }
    return found


def judged(name: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets of this replay, and whether they are met."""
    against = {one["against"]: one["saving"] for one in found["comparisons"] if one["policy"] == OURS}
    rows = [_row(f"{name}: {other} / ours >= 3", against[other], 3.0, 3.0) for other in UNIFORM]
    if name == "gemstones":
        rows += [_row(f"{name}: {other} / ours >= 1.3, low > 1.1", against[other], 1.3, 1.1) for other in HALVING]
    else:
        ratios = {key: one["estimate"] for key, one in found["non-trivial"]["ratio"].items() if key != "oracle"}
        best = min((one for one in ratios if one not in (OURS, UNTAUGHT, FOREIGN)), key=ratios.__getitem__)
        quotient = ratios[OURS] / ratios[best]
        rows.append(
            {
                "target": f"{name}, non-trivial: ours / best comparator ({best}) <= 1.1",
                "value": quotient,
                "met": quotient <= 1.1,
            }
        )
    return rows


def _row(target: str, effect: dict[str, Any], least: float, least_low: float) -> dict[str, Any]:
    met = effect["estimate"] >= least
    return {
        "target": target,
        "value": effect["estimate"],
        "low": effect["low"],
        "high": effect["high"],
        "met": met,
        "interval_met": met and effect["low"] >= least_low,
    }


def planted(make: Any, draws: int) -> list[Problem]:
    """The target of a planted world is what its best arm alone reaches, at nine tenths of its end."""
    worlds = [make(seed) for seed in range(draws)]
    return [
        Problem(task=f"draw {seed:02d}", share=None, target=0.9 * max(one[-1] for one in world.scores), world=world)
        for seed, world in enumerate(worlds)
    ]


def reversal(make: Any, draws: int) -> dict[str, Any]:
    """AT-AS-2: where early leaders lose, or where early scores say nothing."""

    def policies(problem: Problem) -> dict[str, PolicyMaker]:
        every = contenders(problem)
        kept = (
            OURS,
            "uniform (tokens)",
            "random search",
            "greedy",
            "successive halving 3",
            "Hyperband 3",
            "ASHA 3",
            "oracle",
        )
        return {name: every[name] for name in kept}

    posed = planted(make, draws)
    return summarise(race(posed, policies=policies, replications=1), posed, 1, 1.0).as_dict()


def regret(draws: int) -> dict[str, Any]:
    """METHODS, adaptive scaling: simple regret at equal budget (81 checkpoints), 27 arms of 27 checkpoints, eta 3."""
    found = {}
    for name, make in (("ordered", ordered_world), ("crossing", crossing_world)):
        for policy, maker in (("successive halving 3", successive_halving(3)), ("random search", random_search)):
            values = []
            for seed in range(draws):
                world = make(seed)
                outcome = allocate(world, maker, target=np.inf, budget=81.0, seed=seed)
                values.append(max(float(one[-1]) for one in world.scores) - outcome.best_score)
            found[f"{name}: {policy}"] = _mean(values)
    return found


def forecasters(draws: int) -> dict[str, Any]:
    """AT-AS-3: an oracle has no regret; noise loses to uniform by no more than what it spent before it was distrusted."""
    regrets, excess, probing = [], [], []
    for problem in planted(crossing_world, draws):
        world, budget = problem.world, problem.world.total_cost
        cheapest = world.cheapest(problem.target)
        assert cheapest is not None
        known = allocate(world, oracle(world), target=problem.target, budget=budget, seed=0)
        regrets.append(known.spent / cheapest - 1)
        noisy = allocate(world, guesser(Caution()), target=problem.target, budget=budget, seed=0)
        even = allocate(world, uniform_exposure, target=problem.target, budget=budget, seed=0)
        spent = sum(row.cost for row in noisy.audit if not row.reason.startswith("promised"))
        probing.append(spent / even.spent)
        excess.append((noisy.spent - even.spent) / even.spent)
    return {
        "oracle regret": _mean(regrets),
        "noise: compute over uniform - 1": _mean(excess),
        "noise: probing over uniform": _mean(probing),
        "worst excess minus its probing": max(one - two for one, two in zip(excess, probing, strict=True)),
    }


def abstention(draws: int) -> dict[str, Any]:
    """Worlds at chance: how often the policy says that no arm will cross, and for how much of the budget."""
    ended = []
    for seed in range(draws):
        world = flat_world(seed)
        outcome = allocate(world, freeze_thaw(), target=0.2, budget=world.total_cost, seed=seed)
        ended.append((float(outcome.abstained), outcome.spent / world.total_cost))
    return {
        "abstained": _mean([one for one, _ in ended]),
        "share of the budget spent": _mean([two for _, two in ended]),
    }


def mixtures(folder: Path) -> dict[str, Any]:
    """RegMix: 512 proxies of 1M parameters rank 256 unseen mixtures at 1M and at 60M."""
    read = {
        name: pl.read_csv(folder / f"regmix_{name}.csv").sort("index").drop("index")
        for name in (
            *(f"{split}_{what}_1m" for split in ("train", "test") for what in ("mixture", "pile_loss")),
            *LARGER,
        )
    }
    losses = read["train_pile_loss_1m"]
    proxies = Proxies(mixtures=read["train_mixture_1m"].to_numpy(), losses=losses.to_numpy())
    names = [name.removeprefix("metric/the_pile_").removesuffix("_val_loss") for name in losses.columns]
    found = {}
    for scale in ("1m", "60m"):
        predicted = predict_losses(proxies, read[f"test_mixture_{scale}"].to_numpy())
        measured = read[f"test_pile_loss_{scale}"].to_numpy()
        rows = {name: transfer(predicted[:, at], measured[:, at]) for at, name in enumerate(names)}
        rows["mean over domains"] = transfer(predicted.mean(1), measured.mean(1))
        chosen = int(predicted.mean(1).argmin())
        found[f"1m -> {scale}"] = {
            "spearman": {name: effect.as_dict() for name, effect in rows.items()},
            "chosen mixture is number": int((measured.mean(1) < measured.mean(1)[chosen]).sum()) + 1,
        }
    return found


def _mean(values: list[float]) -> dict[str, Any]:
    effect: Effect = bootstrap_mean(np.array(values), seed=0, unit="run", control_name="0")
    return effect.as_dict()


def run(data: Path | None, replications: int, draws: int) -> dict[str, Any]:
    """All parts; the public ones only where the tables are."""
    found: dict[str, Any] = {
        "reversal (AT-AS-2)": reversal(reversal_world, draws),
        "late risers": reversal(sleeper_world, draws),
        "regret": regret(500),
        "forecasters (AT-AS-3)": forecasters(draws),
        "abstention": abstention(draws),
    }
    targets: list[dict[str, Any]] = []
    if data is not None:
        worlds = {
            "gemstones": task_worlds(read_history(data / "gemstones.parquet")),
            "pythia": task_worlds(read_history(data / "pythia.parquet", PYTHIA), tasks=PYTHIA_TASKS),
        }
        base = Prior()
        foreign = {name: history_of(one, base).prior(base) for name, one in worlds.items()}
        for name, one in worlds.items():
            other = next(family for family in worlds if family != name)
            found[name] = replay(one, replications, foreign[other])
            targets += judged(name, found[name])
        found["mixtures"] = mixtures(data / "raw")
    return found | {"targets": targets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--replications", type=int, default=10)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = run(options.data, options.replications, options.draws)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name in ("gemstones", "pythia", "reversal (AT-AS-2)", "late risers"):
        for row in found.get(name, {}).get("policies", []):
            told = "{estimate:7.2f} [{low:.2f}, {high:.2f}]".format(**row["ratio"])
            print(f"{name:20} {row['policy']:22} {told}")
        print(*[one["sentence"] for one in found.get(name, {}).get("comparisons", [])], sep="\n")
    for row in found["targets"]:
        print(
            "met   " if row["met"] else "missed", row["target"], round(row["value"], 2), row.get("low"), row.get("high")
        )


if __name__ == "__main__":
    main()
