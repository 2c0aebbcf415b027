"""`imprint allocate --mixtures`: the choice, given candidates, and every refusal."""

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def proxies(tmp_path):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1.0, 1.0, 1.0], 36)
    losses = 3.0 - 0.3 * np.log(shares[:, :2] + 0.02) + 0.02 * rng.normal(size=(36, 2))
    columns = {f"share {name}": shares[:, at] for at, name in enumerate(("books", "code", "web"))}
    path = tmp_path / "proxies.csv"
    pl.DataFrame(columns | {"loss books": losses[:, 0], "loss code": losses[:, 1], "name": ["run"] * 36}).write_csv(
        path
    )
    return path


NAMED = ("--mixture", "share *", "--loss", "loss *")


def test_a_choice(imprint, proxies):
    answer = imprint("allocate", "--mixtures", proxies, *NAMED, "--json")
    assert answer.code == 0
    found = answer.json
    assert list(found["shares"]) == ["share books", "share code", "share web"]
    assert found["shares"]["share web"] < 0.3
    assert (found["proxies"], found["candidates"]) == (36, 1000)
    assert found["mean loss"]["low"] < found["mean loss"]["estimate"] < found["mean loss"]["high"]
    assert found["mean loss"]["held-out spearman"]["estimate"] > 0.8


def test_given_candidates_for_people(imprint, proxies, tmp_path):
    given = tmp_path / "candidates.csv"
    pl.DataFrame({"share web": [0.9, 0.1], "share code": [0.05, 0.45], "share books": [0.05, 0.45]}).write_csv(given)
    answer = imprint("allocate", "--mixtures", proxies, *NAMED, "--candidates", given)
    assert answer.code == 0
    assert "0.450" in answer.out
    assert "The best of 2 candidates by 36 proxies" in answer.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "give --mixture COLUMN"),
        (("--mixture", "share *"), "give --loss COLUMN"),
        (("--mixture", "part *", "--loss", "loss *"), "--mixture part * names no column"),
        (("--mixture", "share *", "--loss", "*code"), "named as a share and as a loss"),
        (("--mixture", "share *", "--loss", "name"), "does not hold numbers"),
        (("--mixture", "share books", "--loss", "loss *"), "sum to 1"),
    ],
)
def test_refusals(imprint, proxies, options, says):
    answer = imprint("allocate", "--mixtures", proxies, *options)
    assert answer.code == 2
    assert says in answer.complaint()


def test_bad_candidates_and_misplaced_options(imprint, proxies, tmp_path):
    given = tmp_path / "candidates.csv"
    pl.DataFrame({"share books": [0.5], "share code": [0.5]}).write_csv(given)
    assert (
        "no column 'share web'" in imprint("allocate", "--mixtures", proxies, *NAMED, "--candidates", given).complaint()
    )
    pl.DataFrame({"share books": [0.5], "share code": [0.5], "share web": [0.5]}).write_csv(given)
    assert "is not a mixture" in imprint("allocate", "--mixtures", proxies, *NAMED, "--candidates", given).complaint()
    assert "with --mixtures TABLE" in imprint("allocate", "--history", proxies, "--loss", "loss *").complaint()
    rows = pl.read_csv(proxies).with_columns(pl.lit(None, dtype=pl.Float64).alias("loss books"))
    rows.write_csv(proxies)
    assert "loss books" in imprint("allocate", "--mixtures", proxies, *NAMED).complaint()
