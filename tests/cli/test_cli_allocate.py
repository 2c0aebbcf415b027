"""`imprint allocate`: the replay of a table, its audit log, and every refusal."""

import numpy as np
import polars as pl
import pytest

from imprint.emergence.allocation import read_audit


@pytest.fixture
def history(tmp_path):
    rng, rows = np.random.default_rng(0), []
    for task, late in (("easy", 2.0), ("middling", 4.0), ("hard", 5.0)):
        for size in (1.0, 2.0, 4.0):
            for tokens in range(1, 7):
                rise = 1 / (1 + np.exp(-(tokens + size - late)))
                rows.append(
                    {"task": task, "model": f"m{size:g}", "params": size, "tokens": float(tokens), "chance": 0.25}
                    | {"score": 0.25 + 0.6 * rise + 0.005 * rng.normal(), "n": 500.0, "variant": "main"}
                )
    path = tmp_path / "history.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def test_a_replay(imprint, history, tmp_path):
    log = tmp_path / "audit.jsonl"
    answer = imprint("allocate", "--history", history, "--replications", "2", "--audit", log, "--json")
    assert answer.code == 0
    found = answer.json
    assert (found["problems"], found["tasks"], found["replications"]) == (9, 3, 2)
    names = [row["policy"] for row in found["policies"]]
    assert found["policies"][names.index("oracle")]["ratio"]["estimate"] == 1.0
    assert {"freeze-thaw", "ASHA 3", "Hyperband 3", "successive halving 3", "uniform (tokens)"} <= set(names)
    assert all(row["ratio"]["estimate"] >= 1 for row in found["policies"])
    assert found["comparisons"][0]["policy"] == "successive halving 3"
    assert found["comparisons"][0]["against"] == "uniform (tokens)"
    assert {row.decision for row in read_audit(log)} >= {0}
    assert imprint("allocate", "--history", history, "--replications", "2", "--json").json == found


def test_the_prior_is_learned_from_other_tasks_unless_it_is_switched_off(imprint, history):
    given = ("allocate", "--history", history, "--replications", "1", "--share", "0.6", "--json")
    learned, default = (imprint(*given, *more).json["policies"] for more in ((), ("--prior", "default")))
    ratios = [{row["policy"]: row["ratio"]["estimate"] for row in rows} for rows in (learned, default)]
    assert "freeze-thaw (default prior)" in ratios[0]
    assert "freeze-thaw (default prior)" not in ratios[1]
    assert ratios[0]["freeze-thaw (default prior)"] == ratios[1]["freeze-thaw"]


def test_a_table_for_people(imprint, history):
    answer = imprint(
        "allocate", "--history", history, "--replications", "1", "--where", "variant=main", "--target", "0.3"
    )
    assert answer.code == 0
    assert "freeze" in answer.out
    assert "Rank correlation" in answer.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "either --history"),
        (("--live", "x.yaml", "--history"), "either --history"),
        (("--budget", "0", "--history"), "a budget of 0"),
        (("--where", "variant", "--history"), "COLUMN=VALUE"),
        (("--where", "variant=five-shot", "--history"), "is left by variant=five-shot"),
        (("--target", "0.99", "--history"), "fewer than two tasks"),
        (("--share", "2", "--history"), "a target of 2"),
    ],
)
def test_refusals(imprint, history, options, says):
    given = (*options, history) if options else ()
    answer = imprint("allocate", *given)
    assert answer.code == 2
    assert says in answer.complaint()
