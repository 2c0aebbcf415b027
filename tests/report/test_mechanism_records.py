import pytest

from imprint.capabilities import random_period_probes
from imprint.mechanisms import induction_circuit, locate, score_heads, standard_mechanism
from imprint.models import induction_transformer
from imprint.report import (
    ReportData,
    load_report_data,
    mechanism_records,
    render_html,
    render_markdown,
    save_report_data,
)


@pytest.fixture(scope="module")
def location():
    """What `LocateHeads` writes of a hand-built model: L0.H0 tells L1.H0, which copies, where to look."""
    model = induction_transformer(50, 64)
    probes = random_period_probes(range(1, 50), rows=6, seed=0, bos=0, context=64)
    mechanisms = {
        name: score_heads(model, standard_mechanism(name, range(1, 50), context=64, rows=6, bos=0)).as_dict()
        for name in ("copying", "duplicate_token")
    }
    paths = induction_circuit(model, probes[0], locate(model, probes))
    return {"mechanisms": mechanisms, "circuit": [path.as_dict() for path in paths]}


@pytest.fixture(scope="module")
def data(location):
    mechanisms, circuit = mechanism_records(location)
    return ReportData(title="Made up", question="Which heads?", mechanisms=mechanisms, circuit=circuit)


def test_the_records_are_the_numbers_of_the_location(data, location):
    copying, duplicates = data.mechanisms
    assert (copying.mechanism, copying.called, copying.scored, copying.draws) == ("copying", ("L1.H0",), 4, 199)
    assert copying.heads[0].head == "L1.H0"
    assert copying.heads[0].score.estimate == location["mechanisms"]["copying"]["heads"][2]["score"]["estimate"]
    assert [head.score.estimate for head in copying.heads] == sorted(
        (head.score.estimate for head in copying.heads), reverse=True
    )
    assert duplicates.called == ()
    assert len(data.circuit.paths) == 9
    assert {(path.sender, path.role) for path in data.circuit.paths if path.carries} == {
        ("L0.H0", "k"),
        ("L0.H0+L0.H1", "k"),
    }


def test_they_are_said_in_sentences(data):
    copying, duplicates = data.mechanisms
    assert copying.reading == "Copying head: L1.H0 (highest score 1)."
    assert duplicates.reading == "No duplicate token head: no score beats the largest that chance gives."
    assert data.circuit.reading.startswith("L0.H0 tells L1.H0 through its keys where to look")


def test_a_circuit_that_carries_nothing_is_not_shown(location):
    """Mutation: what went through the keys goes through the values."""
    moved = [path | {"role": {"k": "v", "v": "k"}.get(path["role"], "q")} for path in location["circuit"]]
    assert "the circuit is not shown" in mechanism_records({"circuit": moved})[1].reading


def test_a_head_alone_is_named_before_its_layer(location):
    stronger = [
        path | {"copying": path["copying"] | {"estimate": 30.0, "high": 31.0}} if "+" in path["sender"] else path
        for path in location["circuit"]
    ]
    assert mechanism_records({"circuit": stronger})[1].reading.startswith("L0.H0 tells")
    joint = [path for path in stronger if "+" in path["sender"]]
    assert mechanism_records({"circuit": joint})[1].reading.startswith("L0.H0+L0.H1 tells")


def test_only_the_highest_scores_are_kept_but_every_head_is_named(location):
    copying = location["mechanisms"]["copying"]
    many = [copying["heads"][2] | {"head": f"L9.H{number}"} for number in range(9)]
    (found,), circuit = mechanism_records({"mechanisms": {"copying": copying | {"heads": many}}})
    assert (len(found.heads), len(found.called), found.scored) == (6, 9, 9)
    assert found.reading.startswith("Copying heads: L9.H0, L9.H1")
    assert circuit is None


def test_a_location_from_before_has_neither():
    assert mechanism_records({"heads": []}) == ((), None)


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_both_pages_show_them_and_only_if_they_are_there(data, render):
    words = ("Other mechanisms", "The circuit, by path patching", "L0.H0 tells L1.H0", "Copying head")
    page, without = render(data), render(ReportData(title="Made up", question="Which heads?"))
    assert all(word in page for word in words)
    assert not any(word in without for word in words)


def test_they_survive_the_file(data, tmp_path):
    save_report_data(data, tmp_path / "report.json")
    assert load_report_data(tmp_path / "report.json") == data
