"""One chat completion of any OpenAI-compatible endpoint, with deadlines, retries and a budget; the key stays inside."""

import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, NoReturn
from urllib.parse import urlsplit

from imprint.corpus.augmentation.retry_after import retry_after
from imprint.errors import ConfigError, ImprintError

URL, MODEL, KEY = "IMPRINT_LLM_URL", "IMPRINT_LLM_MODEL", "IMPRINT_LLM_KEY"
_RETRIED = {408, 409, 425, 429}
_MOST_BYTES = 4_000_000
_LEAST_KEY = 8
_log = logging.getLogger(__name__)

Message = dict[str, str]


class EndpointError(ImprintError):
    """The endpoint gave no usable answer within the budget, or refused to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where to ask which model; the key is never shown.

    Raises:
        ConfigError: not an http(s) address, or a key that no header can hold.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what would fail, or leak, later."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.username is not None or parts.query:
            raise ConfigError(f"{URL} must be like https://host/v1, without user name or query; correct it.")
        if not self.model.strip():
            raise ConfigError(f"{MODEL} is empty; name the model to ask.")
        if not all("!" <= character <= "~" for character in self.key):
            raise ConfigError(f"{KEY} holds a space, a line end or a character outside ASCII; set it again.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Endpoint":
        """The endpoint that IMPRINT_LLM_URL, IMPRINT_LLM_MODEL and IMPRINT_LLM_KEY (optional) name."""
        missing = [name for name in (URL, MODEL) if not environment.get(name, "").strip()]
        if missing:
            raise ConfigError(f"{' and '.join(missing)} must be set in the environment to ask a model for motifs.")
        key = environment.get(KEY, "").strip()
        return cls(url=environment[URL].strip(), model=environment[MODEL].strip(), key=key)

    @classmethod
    def from_environment_for(cls, model: str) -> "Endpoint":
        """The endpoint of the environment with this model in place of IMPRINT_LLM_MODEL."""
        return cls.from_environment({**os.environ, MODEL: model})

    @property
    def completions(self) -> str:
        """The address of the chat completions."""
        base = self.url.rstrip("/")
        if base.endswith("/chat/completions"):
            return base
        return f"{base}/chat/completions" if base.endswith("/v1") else f"{base}/v1/chat/completions"

    def hide(self, text: str) -> str:
        """Text of a server without the key, cut to one short line."""
        clean = " ".join(text.split())
        clean = clean.replace(self.key, "***") if self.key else clean
        return clean if len(clean) <= 200 else clean[:200] + "..."


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one question may cost, all retries and repairs together."""

    timeout_seconds: float = 60.0
    """Longest silence of the server, and longest answer."""
    budget_seconds: float = 600.0
    requests: int = 8
    backoff_seconds: float = 1.0
    """Wait before the first retry; it doubles each time."""
    longest_wait_seconds: float = 60.0
    """Cap of the doubling; a Retry-After is honoured as long as the budget lasts."""
    answer_tokens: int = 4_000


@dataclass(slots=True)
class Session:
    """Questions to one endpoint that share one budget."""

    endpoint: Endpoint
    limits: Limits = Limits()
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    requests: int = 0
    _began: float | None = None

    def complete(self, messages: Sequence[Message]) -> str:
        """The text of the model's answer.

        Raises:
            EndpointError: refused, or no usable answer within the budget.
            ConfigError: the endpoint does not accept key, model or address.
        """
        self._began = self.clock() if self._began is None else self._began
        wait, reason = self.limits.backoff_seconds, "no request was left"
        while self.requests < self.limits.requests and self._left() > 0:
            self.requests += 1
            try:
                return self._without_key(_content(self._post(messages)))
            except _Refused as refusal:
                raise EndpointError(f"the model refused: {self.endpoint.hide(str(refusal))}") from None
            except _Transient as failure:
                reason = self.endpoint.hide(failure.reason)
                pause = wait if failure.retry_after is None else failure.retry_after
                wait = min(2 * wait, self.limits.longest_wait_seconds)
            if pause >= self._left() or self.requests >= self.limits.requests:
                break
            _log.warning("%s answered: %s; asking again in %.1f s", self.endpoint.completions, reason, pause)
            self.sleep(pause)
        raise EndpointError(
            f"{self.endpoint.completions} gave no usable answer in {self.requests} requests (budget: "
            f"{self.limits.requests} requests, {self.limits.budget_seconds:g} s): {reason}; try again later."
        )

    def _without_key(self, text: str) -> str:
        """The reply is kept on disk: a server that echoes the key must not put it there."""
        return text.replace(self.endpoint.key, "***") if len(self.endpoint.key) >= _LEAST_KEY else text

    def _left(self) -> float:
        return self.limits.budget_seconds - (self.clock() - (self._began or 0.0))

    def _post(self, messages: Sequence[Message]) -> Any:
        limits, endpoint = self.limits, self.endpoint
        question = {
            "model": endpoint.model,
            "messages": list(messages),
            "max_tokens": limits.answer_tokens,
            "temperature": 0,
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        request = urllib.request.Request(endpoint.completions, json.dumps(question).encode(), headers, method="POST")
        timeout = min(limits.timeout_seconds, max(self._left(), 0.001))
        try:
            with _OPENER.open(request, timeout=timeout) as response:
                return _decoded(self._read(response, timeout))
        except urllib.error.HTTPError as error:
            with error:
                _raise_for(error.code, error.headers, self._read(error, timeout), endpoint)
        except (OSError, HTTPException) as error:  # refused, reset, timed out, broken off, not HTTP
            reason = getattr(error, "reason", error)
            raise _Transient(f"{type(reason).__name__}: {reason}") from None

    def _read(self, response: Any, timeout: float) -> bytes:
        """The body, within the size and the time that an answer may take: a server may also send a byte a minute."""
        until, body = self.clock() + timeout, b""
        while chunk := response.read1(65_536):
            body += chunk
            if len(body) > _MOST_BYTES:
                raise _Transient(f"the answer is longer than {_MOST_BYTES} bytes")
            if self.clock() > until:
                raise _Transient(f"the answer takes longer than {timeout:g} s")
        return body


class _Transient(Exception):
    """Worth another attempt."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, after


class _Refused(Exception):
    """The model will not answer this; asking again would not help."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another address."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Never follow."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def _raise_for(code: int, headers: Any, body: bytes, endpoint: Endpoint) -> NoReturn:
    said = endpoint.hide(body.decode("utf-8", "replace"))
    if code in _RETRIED or code >= 500:
        raise _Transient(f"status {code}: {said}", retry_after(headers.get("Retry-After")))
    hints = {
        401: f"check {KEY}",
        403: f"check {KEY} and what it may use",
        404: f"check {URL} and {MODEL}",
    }
    hint = f"it redirects; set {URL} to the final address" if 300 <= code < 400 else hints.get(code, f"check {MODEL}")
    raise ConfigError(f"{endpoint.completions} answered with status {code}: {said}; {hint}.") from None


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _Transient(f"the answer is not JSON: {body.decode('utf-8', 'replace')}") from None


def _content(answer: Any) -> str:
    """The text of the first choice; a refusal is final, an answer without text is worth another attempt."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        refusal, text = message.get("refusal"), message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _Transient("the answer has no choice with a message") from None
    if refusal or choice.get("finish_reason") == "content_filter":
        raise _Refused(str(refusal or "content filter"))
    if isinstance(text, list):
        text = "".join(str(part.get("text", "")) for part in text if isinstance(part, dict))
    if not isinstance(text, str) or not text.strip():
        raise _Transient("the answer has no text")
    return text
