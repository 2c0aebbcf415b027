from dataclasses import replace

import numpy as np
import pytest
from mechanism_results import EFFECTS, TEXTS, mechanism_result

from imprint.report import load_report_data, render_html, render_markdown, report_data, save_report_data
from imprint.stats import benjamini_hochberg
from imprint.studies import top_documents


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return mechanism_result(tmp_path_factory.mktemp("result"))


@pytest.fixture(scope="module")
def data(result):
    return report_data(result, command="imprint run made-up.yaml", created="2026-01-01")


def test_it_survives_the_file(data, tmp_path):
    save_report_data(data, tmp_path / "report.json")
    assert load_report_data(tmp_path / "report.json") == data


def test_both_pages_can_be_made(data):
    page, text = render_html(data), render_markdown(data)
    for words in ("Made up", "L1.H1", "data-causal", data.registration):
        assert words in page
        assert words in text


def test_claims_and_verdicts_are_those_of_the_study(data, result):
    assert [claim.rung for claim in data.claims] == [claim.rung for claim in result.claims] == [4, None]
    assert [item.id for item in data.hypotheses] == ["H1"]
    assert data.hypotheses[0].verdict == "supported"


def test_a_run_that_never_emerged_has_no_marker(data):
    never = {(onset.arm, onset.seed) for onset in data.onsets if onset.step is None}
    assert never == {("delete_top", 0), ("delete_top", 1)}
    assert {onset.step for onset in data.onsets} == {None, 900.5}


def test_documents_carry_their_place_and_the_influence_of_the_contrastive_probe(data, result):
    rows = top_documents(result.order, result.packed, per_domain=3, overall=12)
    assert [document.rank for document in data.documents] == [list(result.order).index(row) + 1 for row in rows]
    for document, row in zip(data.documents, rows, strict=True):
        assert document.score == document.probe_scores["contrastive"] == result.scores.of("contrastive")[row]
        assert document.domain == result.packed.row_domains[row]
        assert document.source.startswith(f"{document.domain}.txt:")
    assert {document.domain for document in data.documents} == set(TEXTS)


def test_tokens_spell_the_document_and_add_up_to_its_score(data, result):
    """Every character once, also those of several bytes; position t holds what flows through it, the last label nothing."""
    place = {name: row for row, name in enumerate(result.packed.row_ids)}
    for document in data.documents:
        row = place[document.id]
        length = int(result.packed.lengths[row])
        assert document.tokens[0].text == "⟨bos⟩"
        text = "".join(token.text for token in document.tokens[1:])
        assert text == f"{TEXTS[document.domain]} {document.id.rpartition('/')[2]}"[: len(text)]
        assert len(document.tokens) == length + 1
        expected = result.scores.tokens[1, row, :length].astype(float)
        assert [token.value for token in document.tokens] == [*expected.tolist(), 0.0]


def test_characters_of_several_bytes_show_once(data):
    poem = next(document for document in data.documents if document.domain == "poem")
    text = [token.text for token in poem.tokens]
    assert text[1:4] == ["ü", "", "b"]


def test_domains_are_marked_and_weighed(data, result):
    by_name = {domain.domain: domain for domain in data.domains}
    assert [name for name, domain in by_name.items() if domain.planted] == ["novel repeats"]
    assert sum(domain.influence_share for domain in by_name.values()) == pytest.approx(1)
    influence = np.clip(result.scores.of("contrastive"), 0, None)
    for name, domain in by_name.items():
        mine = influence[result.packed.row_domains == name].sum() / influence.sum()
        assert domain.influence_share == pytest.approx(mine)
        assert domain.enrichment == domain.influence_share / domain.corpus_share


def test_effects_are_corrected_for_their_number(data):
    adjusted = benjamini_hochberg(np.array([item.p for item in EFFECTS]))
    assert [row.q for row in data.effects] == pytest.approx(adjusted.tolist())
    assert [row.note for row in data.effects] == [item.note for item in EFFECTS]
    assert data.effects[0].note.startswith("ended before emergence: 2 of 5 runs of delete_top")


def test_heads_stand_beside_their_nulls(data):
    found = {(head.metric, head.layer, head.head): (head.value, head.null) for head in data.heads}
    assert len(found) == 12
    assert found["induction.prefix_matching", 1, 1] == (pytest.approx(0.81), 0.05)
    assert found["previous_token", 0, 1] == (0.9, 0.2)
    assert found["copy.ablation_effect", 1, 1] == (pytest.approx(1.23), pytest.approx(0.05))
    assert data.chosen_heads == ("L1.H1",)


def test_the_curve_of_concentration_rises_to_one(data):
    shares = np.array(data.concentration.curve)
    assert (np.diff(shares[:, 0]) > 0).all()
    assert (np.diff(shares[:, 1]) >= -1e-12).all()
    assert shares[-1].tolist() == pytest.approx([1.0, 1.0])


def test_no_positive_influence_has_no_curve(result):
    flat = replace(result.scores, rows=-np.abs(result.scores.rows))
    assert report_data(replace(result, scores=flat), command="x").concentration.curve == ()


def test_where_it_came_from(data, result):
    assert data.provenance.command == "imprint run made-up.yaml"
    assert data.provenance.digests == {**result.keys, "registration": result.registration}
    assert {stage.stage: stage.seconds for stage in data.provenance.seconds} == result.seconds
    assert data.provenance.warnings == ("one domain is missing",)
    assert (data.windows[0].start, data.windows[0].end) == (600, 2000)
    assert "split_half 0.93" in " ".join(note.text for note in data.trust)
