import json
import logging
import traceback
from datetime import UTC, datetime

import pytest
from fake_endpoint import Answer, says, serving

from imprint.corpus.augmentation import Endpoint, EndpointError, Limits, Session, ask_motifs, read_schema
from imprint.corpus.augmentation.ask import EXAMPLE, GRAMMAR, schema_in
from imprint.corpus.augmentation.parts import KINDS, SlotKind
from imprint.corpus.augmentation.retry_after import retry_after
from imprint.errors import ConfigError

KEY = "sk-not-to-be-seen-0123456789"
GOOD = json.dumps(
    {"motifs": [{"name": "m", "write": {"kind": "slot", "of": "uuid"}}]},
)
BROKEN = json.dumps({"motifs": [{"name": "m", "write": {"kind": "slot", "of": "uiud"}}]})
SAMPLES = ["a=1 b=2", "a=3 b=4"]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def ask(fake, *, repairs=1, **limits):
    """The answer and the pauses that were taken (none in earnest)."""
    pauses = []
    session = Session(
        endpoint=Endpoint(url=fake.url, model="small", key=KEY),
        limits=Limits(**{"timeout_seconds": 5.0, **limits}),
        sleep=pauses.append,
    )
    return ask_motifs(SAMPLES, session, repairs=repairs), pauses


def failing(fake, error=EndpointError, **options):
    """The whole text of the failure, traceback included, in which the key must not appear."""
    with pytest.raises(error) as caught:
        ask(fake, **options)
    whole = "".join(traceback.format_exception(caught.value))
    assert KEY not in whole
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_reply_and_what_was_sent():
    with serving(says(GOOD)) as fake:
        asked, pauses = ask(fake)
    path, headers, body = fake.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["model"] == "small"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert json.dumps(SAMPLES[0]) in body["messages"][1]["content"]
    assert asked.schema == read_schema(GOOD)
    assert (asked.requests, asked.repaired, pauses) == (1, False, [])


@pytest.mark.parametrize(
    "reply",
    [
        f"```json\n{GOOD}\n```",
        f"Here it is:\n```\n{GOOD}\n```\nHope this {{helps}}!",
        f"Sure. {GOOD} Done.",
        f"First try:\n```json\n{{bad}}\n```\nbetter:\n```json\n{GOOD}\n```",
    ],
)
def test_json_in_fences_and_prose(reply):
    with serving(says(reply)) as fake:
        assert ask(fake)[0].schema == read_schema(GOOD)


def test_content_in_parts():
    with serving(says([{"type": "text", "text": GOOD[:20]}, {"type": "text", "text": GOOD[20:]}])) as fake:
        assert ask(fake)[0].schema == read_schema(GOOD)


@pytest.mark.parametrize(("reply", "told"), [(BROKEN, "did you mean 'uuid'?"), ("I cannot say.", "no JSON object")])
def test_one_repair_round_quotes_the_error(reply, told):
    with serving(says(reply), says(GOOD)) as fake:
        asked, _ = ask(fake)
    messages = fake.requests[1][2]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == reply
    assert told in messages[3]["content"]
    assert (asked.requests, asked.repaired) == (2, True)


@pytest.mark.parametrize(
    "reply", [BROKEN, "no", '{"motifs": []}', "```python\nimport os\n```", '{"motifs": "' + "x" * 9000]
)
def test_a_reply_that_stays_broken(reply):
    with serving(says(reply)) as fake:
        message = failing(fake)
    assert message.startswith("the model's reply is no motif schema, also after 1 repair: ")
    assert len(fake.requests) == 2


def test_backoff_doubles_and_is_capped():
    with serving(*[Answer(status=503, body="busy")] * 5, says(GOOD)) as fake:
        asked, pauses = ask(fake, backoff_seconds=2.0, longest_wait_seconds=10.0)
    assert pauses == [2, 4, 8, 10, 10]
    assert asked.requests == 6


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_passing_failures_are_retried(status):
    with serving(Answer(status=status), says(GOOD)) as fake:
        assert ask(fake)[0].requests == 2


def test_retry_after_is_honoured():
    with serving(Answer(status=429, headers={"Retry-After": "7"}), says(GOOD)) as fake:
        assert ask(fake)[1] == [7]


def test_a_wait_beyond_the_budget_is_not_begun():
    with serving(Answer(status=429, body="slow down", headers={"Retry-After": "3600"})) as fake:
        message = failing(fake, budget_seconds=60.0)
    assert "status 429: slow down" in message
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("12", 12),
        ("1.5", 1.5),
        ("-3", 0),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_in_both_forms(header, seconds):
    assert retry_after(header, now=datetime(2026, 11, 20, 12, tzinfo=UTC)) == seconds


def test_requests_are_bounded_over_retries_and_repairs():
    with serving(Answer(status=500), says(BROKEN), Answer(status=500)) as fake:
        message = failing(fake, requests=4, repairs=3)
    assert len(fake.requests) == 4
    assert "no usable answer in 4 requests" in message


def test_time_is_bounded_over_retries():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    with serving(Answer(status=500)) as fake:
        session = Session(
            endpoint=Endpoint(url=fake.url, model="m"),
            limits=Limits(budget_seconds=20.0, backoff_seconds=3.0, requests=100),
            sleep=sleep,
            clock=lambda: now[0],
        )
        with pytest.raises(EndpointError, match="20 s"):
            ask_motifs(SAMPLES, session)
    assert now[0] < 20
    assert len(fake.requests) == 3  # at 0, 3 and 9 s; the next would be at 21 s


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(body="<html>oops</html>"), "the answer is not JSON: <html>oops"),
        (Answer(body="[" * 100_000), "the answer is not JSON"),
        (Answer(body='{"choices": []}'), "no choice with a message"),
        (Answer(body='{"error": "x"}'), "no choice with a message"),
        (Answer(body="[]"), "no choice with a message"),
        (Answer(body='{"choices": [{"message": "hi"}]}'), "no choice with a message"),
        (says(None), "the answer has no text"),
        (says("  "), "the answer has no text"),
        (Answer(body=json.dumps({"choices": [{}]}), breaks_off=True), "the answer is not JSON"),
    ],
)
def test_unusable_answers_are_asked_again_and_then_named(answer, said):
    with serving(answer) as fake:
        assert said in failing(fake, requests=2)
    assert len(fake.requests) == 2
    with serving(answer, says(GOOD)) as fake:
        assert ask(fake)[0].requests == 2


@pytest.mark.parametrize(
    "answer",
    [
        says(None, refusal="I will not do that."),
        Answer(body=json.dumps({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]})),
    ],
)
def test_a_refusal_is_final(answer):
    with serving(answer) as fake:
        assert failing(fake).startswith("the model refused: ")
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("status", "hint"),
    [(400, "IMPRINT_LLM_MODEL"), (401, "IMPRINT_LLM_KEY"), (403, "IMPRINT_LLM_KEY"), (404, "IMPRINT_LLM_URL")],
)
def test_lasting_failures_are_not_retried_and_never_show_the_key(status, hint):
    with serving(Answer(status=status, body=f"invalid key {KEY} for you")) as fake:
        message = failing(fake, ConfigError)
    assert hint in message
    assert "invalid key *** for you" in message
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body="x" * 70 + KEY),
        Answer(body="x" * 180 + KEY, status=500),
        Answer(body=" " * 3000 + f"no {KEY}"),
        says(None, refusal=f"not with {KEY}"),
        says(f"{{not json}} {KEY}"),
    ],
)
def test_a_server_that_echoes_the_key_does_not_make_it_seen(answer):
    with serving(answer) as fake:
        message = failing(fake, requests=2)
    assert not any(KEY[:size] in message for size in range(9, len(KEY)))


def test_a_reply_that_echoes_the_key_is_kept_without_it():
    with serving(says(f"{GOOD} {KEY}")) as fake:
        assert ask(fake)[0].reply == f"{GOOD} ***"


def test_redirects_do_not_carry_the_key_away():
    with serving(says(GOOD)) as thief, serving(Answer(status=302, headers={"Location": thief.url})) as fake:
        assert "redirects" in failing(fake, ConfigError)
    assert thief.requests == []


def test_silence_times_out():
    with serving(Answer(delay=1.0, body="late")) as fake:
        assert "timed out" in failing(fake, timeout_seconds=0.1, requests=1)


def test_a_dripping_answer_times_out():
    with serving(Answer(body="x" * 60, drip=0.05)) as fake:
        assert "takes longer than 0.3 s" in failing(fake, timeout_seconds=0.3, requests=1)


def test_an_endless_answer_is_cut(monkeypatch):
    monkeypatch.setattr("imprint.corpus.augmentation.endpoint._MOST_BYTES", 1000)
    with serving(Answer(body="x" * 5000)) as fake:
        assert "longer than 1000 bytes" in failing(fake, requests=1)


def test_nobody_there():
    with serving(says(GOOD)) as fake:
        pass
    assert "ConnectionRefusedError" in failing(fake, requests=2)


def test_the_key_is_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    with serving(Answer(status=500, body=f"your key is {KEY}"), says(GOOD)) as fake:
        ask(fake)
    assert "asking again" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(Session(endpoint=Endpoint(url=fake.url, model="m", key=KEY)))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h", "http://h/v1/chat/completions"),
        ("http://h/v1/", "http://h/v1/chat/completions"),
        ("https://h/api/v1", "https://h/api/v1/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
    ],
)
def test_the_address_may_be_given_in_any_usual_form(url, path):
    assert Endpoint(url=url, model="m").completions == path


@pytest.mark.parametrize(
    "url", ["", "ftp://h", "host/v1", "http://", "http://u:secret@h", "http://h:99999", "http://h?key=secret"]
)
def test_addresses_that_cannot_be_used(url):
    with pytest.raises(ConfigError, match="IMPRINT_LLM_URL must be like") as caught:
        Endpoint(url=url, model="m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "line\nend", "clé"])
def test_keys_that_no_header_can_hold(key):
    with pytest.raises(ConfigError, match="IMPRINT_LLM_KEY") as caught:
        Endpoint(url="http://h", model="m", key=key)
    assert key not in str(caught.value)


def test_the_environment_names_the_endpoint(monkeypatch):
    for name in ("URL", "MODEL", "KEY"):
        monkeypatch.delenv(f"IMPRINT_LLM_{name}", raising=False)
    with pytest.raises(ConfigError, match="IMPRINT_LLM_URL and IMPRINT_LLM_MODEL must be set"):
        Endpoint.from_environment()
    found = Endpoint.from_environment(
        {"IMPRINT_LLM_URL": " http://h ", "IMPRINT_LLM_MODEL": "m", "IMPRINT_LLM_KEY": "k\n"}
    )
    assert (found.url, found.model, found.key) == ("http://h", "m", "k")
    with pytest.raises(ConfigError, match="IMPRINT_LLM_MODEL is empty"):
        Endpoint(url="http://h", model=" ")


def test_no_samples():
    with pytest.raises(ConfigError, match="at least one text"):
        ask_motifs([], Session(endpoint=Endpoint(url="http://h", model="m")))


def test_the_grammar_told_is_the_grammar_read():
    assert all(f" {kind} " in GRAMMAR for kind in KINDS)
    assert all(kind in GRAMMAR for kind in SlotKind.__args__)
    assert schema_in(EXAMPLE).motifs[0].name == "log"
    for name, kind in KINDS.items():
        fields = set(kind.model_fields) - {"kind"}
        told = GRAMMAR[GRAMMAR.index(f"\n {name} ") :][:700]
        assert all(field in told for field in fields), name
