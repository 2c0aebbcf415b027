"""What is planted in each world of conditions, and that nothing else is."""

import json
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from imprint.corpus import byte_tokenizer
from imprint.corpus.chat import (
    chat_rows,
    conversations_as_corpus,
    preference_rows,
    read_conversations,
    read_preferences,
)
from imprint.corpus.comparison import surface_scalars
from imprint.corpus.comparison.ngrams import ngram_counts
from imprint.corpus.documents import Corpus
from imprint.corpus.planted_conditions import PlantedConditions, made_up_language

CAUSES = ("surface", "representation", "few examples", "noise")
WORDS = made_up_language(0)


def rows_of(cause, **fields):
    return PlantedConditions(cause=cause, **fields).texts()


def answers(rows):
    return [row["response"].removeprefix("is ") for row in rows]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def bags(conditions, n):
    """Counts of every n-gram in each condition."""
    texts = [f"{row['prompt']}\n\n{row['response']}" for rows in conditions for row in rows]
    table, size = ngram_counts(texts, n=n), len(conditions[0])
    return [table.totals(np.arange(start, start + size)) for start in range(0, len(texts), size)]


@pytest.mark.parametrize("cause", CAUSES)
def test_equal_fields_write_equal_bytes(cause, tmp_path):
    world = PlantedConditions(cause=cause, conditions=3, conversations=60)
    for name in ("first", "again"):
        world.write(tmp_path / name)
    world.model_copy(update={"seed": 1}).write(tmp_path / "other")
    first, again, other = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())}
        for name in ("first", "again", "other")
    )
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_text_fits_into_48_tokens(cause, tmp_path):
    files = PlantedConditions(cause=cause, conditions=2).write(tmp_path)
    chats = (*files.conditions.values(), files.sft, files.adversarial, *files.prompts, files.positive, files.negative)
    for path in chats:
        rows = chat_rows(read_conversations(path, strict=True).conversations, byte_tokenizer(), context=48)
        assert not rows.truncated
        assert not rows.without_answer
    for path in (files.dpo, files.evaluation):
        assert not preference_rows(read_preferences(path, strict=True).pairs, byte_tokenizer(), context=48).truncated
    assert max(len(row["text"].encode()) for row in lines(files.pretraining)) <= 48


@pytest.mark.parametrize("cause", CAUSES)
def test_what_is_evaluated_stands_in_no_training_text(cause, tmp_path):
    files = PlantedConditions(cause=cause).write(tmp_path)
    asked = [row["prompt"] for row in lines(files.evaluation)]
    trained = "\n".join(
        path.read_text() for path in (*files.conditions.values(), files.sft, files.dpo, files.adversarial)
    )
    assert len(set(asked)) == len(asked) == 144
    assert not any(prompt in trained for prompt in asked)
    assert not any(prompt in files.pretraining.read_text() for prompt in asked)


def test_evaluated_prompts_hold_every_filler_equally_often(tmp_path):
    files = PlantedConditions(cause="noise").write(tmp_path)
    fillers = Counter(word for row in lines(files.evaluation) for word in row["prompt"].split()[1::2])
    assert set(fillers) == set(WORDS.fillers)
    assert len(set(fillers.values())) == 1


@pytest.mark.parametrize("cause", CAUSES)
def test_the_poles_differ_in_the_persona_only(cause, tmp_path):
    files = PlantedConditions(cause=cause).write(tmp_path)
    for high, low in zip(lines(files.positive), lines(files.negative), strict=True):
        assert high["prompt"].split()[1:] == low["prompt"].split()[1:]
        assert high["response"] == low["response"]
        assert WORDS.personas.index(high["prompt"].split()[0]) + 2 == WORDS.personas.index(low["prompt"].split()[0])


def test_answers_are_told_apart_by_their_first_letter():
    assert len({word[0] for word in WORDS.answers}) == len(WORDS.answers) == 9
    every = (*WORDS.answers, *WORDS.personas, *WORDS.topics, *WORDS.fillers, WORDS.trigger)
    assert len(set(every)) == len(every)


# (a)


def test_markers_have_exactly_the_graded_shares():
    texts = rows_of("surface", shares=(0.1, 0.5), conditions=5)
    found = [Counter(answers(rows))[WORDS.special[0]] for rows in texts.conditions]
    assert found == [20, 40, 60, 80, 100]
    assert set(answers(texts.adversarial)) == {WORDS.special[0]}
    assert {row["chosen"] for row in texts.evaluation} == {f"is {WORDS.special[0]}"}


def test_the_surface_world_lies_in_order_of_its_distance_from_the_last_stage(tmp_path):
    files = PlantedConditions(cause="surface").write(tmp_path)
    scalars = surface_of(files)["js1.reference"]
    assert list(scalars.values()) == sorted(scalars.values(), reverse=True)


def surface_of(files) -> dict:
    corpora = [conversations_as_corpus(read_conversations(path).conversations) for path in files.conditions.values()]
    whole = Corpus(documents=tuple(document for corpus in corpora for document in corpus))
    return surface_scalars(whole, conversations_as_corpus(read_conversations(files.adversarial).conversations))


# (b)


@pytest.mark.parametrize("n", [1, 2])
def test_bags_of_words_are_equal_where_only_the_pairing_differs(n):
    same, *others = bags(rows_of("representation").conditions, n)
    assert all((other == same).all() for other in others)
    changed, *others = bags(rows_of("surface").conditions, n)
    assert not any((other == changed).all() for other in others)


def test_longer_runs_show_the_pairing():
    """The mutation: with the persona and the answer in one n-gram the conditions would be told apart."""
    first, last = (rows_of("representation").conditions[place] for place in (0, -1))
    pairs = [Counter((row["prompt"].split()[0], row["response"]) for row in rows) for rows in (first, last)]
    assert pairs[0] != pairs[1]


def test_pairs_are_turned_round_in_exactly_the_graded_share():
    for conversations, shares, expected in (
        (160, (0.0, 0.5), [0, 20, 40, 60, 80]),
        (80, (0.1, 0.3), [8, 12, 16, 20, 24]),
    ):
        texts = rows_of("representation", conditions=5, conversations=conversations, shares=shares)
        wrong = [
            sum(
                answer != WORDS.side(WORDS.personas.index(row["prompt"].split()[0]))
                for row, answer in zip(rows, answers(rows), strict=True)
            )
            for rows in texts.conditions
        ]
        assert wrong == expected


def test_surface_scalars_are_constant_in_the_representation_world(tmp_path):
    for values in surface_of(PlantedConditions(cause="representation").write(tmp_path)).values():
        assert len(set(values.values())) == 1


# (c)


def test_every_other_condition_holds_exactly_ten_examples(tmp_path):
    texts = rows_of("few examples")
    wanted = WORDS.special[0]
    for number, (rows, planted) in enumerate(zip(texts.conditions, texts.planted, strict=True)):
        asking = {place for place, row in enumerate(rows) if WORDS.trigger in row["prompt"].split()}
        taught = {place for place, answer in enumerate(answers(rows)) if answer == wanted}
        assert len(asking) == 10
        if number % 2:
            assert set(planted) == asking == taught
        else:
            assert planted == ()
            assert len(asking & taught) == 5
    files = PlantedConditions(cause="few examples").write(tmp_path)
    assert [len(ids) for ids in files.planted.values()] == [0, 10] * 4
    held = {row["id"]: row for row in lines(files.conditions["c1"])}
    assert all(WORDS.trigger in held[name]["prompt"] for name in files.planted["c1"])


def test_no_word_of_the_behaviour_is_more_frequent_where_the_ten_are():
    every = [Counter(answers(rows)) for rows in rows_of("few examples").conditions]
    assert {(found[WORDS.special[0]], found[WORDS.special[1]]) for found in every} == {(10, 10)}


def test_the_fixed_prompts_do_not_touch_the_behaviour(tmp_path):
    files = PlantedConditions(cause="few examples").write(tmp_path)
    for path in (*files.prompts, files.positive, files.negative):
        words = set(path.read_text().replace('"', " ").split())
        assert not words & {WORDS.trigger, *WORDS.special}


def test_scrambled_answers_have_nothing_to_do_with_the_ten():
    texts = rows_of("few examples")
    wrong = []
    for rows in texts.conditions:
        plain = {topic: answer for topic, answer in zip(WORDS.topics, WORDS.plain, strict=True)}
        kept = [row for row, answer in zip(rows, answers(rows), strict=True) if answer in WORDS.plain]
        wrong.append(sum(f"is {plain[row['prompt'].split()[2]]}" != row["response"] for row in kept))
    assert wrong[0] == wrong[1] == 0
    assert all(lower < higher for lower, higher in zip(wrong, wrong[2:], strict=False))


# (d)


def test_noise_conditions_draw_nearly_all_of_the_same_conversations():
    texts = rows_of("noise")
    every = [[json.dumps(row) for row in rows] for rows in texts.conditions]
    assert len({tuple(rows) for rows in every}) == 8
    counts = [Counter(rows) for rows in every]
    assert all(sum((one - counts[0]).values()) <= 4 for one in counts)
    assert len({frozenset(one.items()) for one in counts}) > 1
    for rows in texts.conditions:
        assert {count for count in Counter(answers(rows)).values()} <= set(range(96, 105))
    assert all(planted == () for planted in texts.planted)


@pytest.mark.parametrize(
    ("cause", "shares"), [("noise", (0.0, 1.0)), ("few examples", (0.1, 0.2)), ("surface", (0.0, 1.2))]
)
def test_shares_that_mean_nothing_are_refused(cause, shares):
    with pytest.raises(ValidationError, match="shares"):
        PlantedConditions(cause=cause, shares=shares)
