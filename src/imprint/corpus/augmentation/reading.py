"""A motif schema from JSON: whatever is wrong with it becomes one sentence that names the motif and the field."""

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from imprint.corpus.augmentation.parts import KINDS, MAX_DEPTH
from imprint.corpus.augmentation.schema import Motif, MotifSchema
from imprint.errors import ConfigError

MAX_BYTES = 2_000_000
"""Longest JSON text that is read."""
_NESTING = 6 * MAX_DEPTH


def read_schema(text: str, *, where: str = "the motif schema") -> MotifSchema:
    """The schema that a JSON text holds; it is validated, never executed.

    Raises:
        ConfigError: not JSON, too large, or not a schema: the first problem, with motif and field, and how many more.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where} has {len(text)} characters; at most {MAX_BYTES} are read.")
    if _nesting(text) > _NESTING:
        raise ConfigError(f"{where} nests JSON more than {_NESTING} deep; flatten it.")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise ConfigError(f"{where} is not valid JSON: {error}; correct it.") from error
    return parse_schema(value, where=where)


def parse_schema(value: Any, *, where: str = "the motif schema") -> MotifSchema:
    """The schema in a decoded JSON value; raises like `read_schema`."""
    try:
        return MotifSchema.model_validate(value)
    except ValidationError as error:
        problems = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise ConfigError(f"{where}: {_sentence(problems[0], value).rstrip('.')}{more}") from None


def schema_json(schema: MotifSchema) -> dict[str, Any]:
    """The schema as a JSON value that `parse_schema` reads back as an equal one."""
    return schema.model_dump(mode="json", exclude_defaults=False)


def _sentence(problem: Any, value: Any) -> str:
    loc, kind = tuple(problem["loc"]), problem["type"]
    field, context = _field(loc, value), problem.get("ctx", {})
    what = f"{_motif(loc, value)}{f'field {field}: ' if field else ''}"
    if kind == "extra_forbidden":
        return f"{what}unknown key; {_near(str(loc[-1]), _keys(loc))}"
    if kind == "union_tag_invalid":
        return f"{what}there is no generator of kind '{_short(context['tag'])}'; {_near(context['tag'], [*KINDS])}"
    if kind == "union_tag_not_found":
        return f'{what}a generator is an object with a key "kind", one of {", ".join(KINDS)}'
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        return f"{what}'{_short(problem['input'])}' is none of the values; {_near(str(problem['input']), options)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    shown = "" if kind in ("missing", "value_error") else f", not {_short(json.dumps(problem['input'], default=str))}"
    return f"{what}{message[0].lower()}{message[1:]}{shown}"


def _motif(loc: Sequence[int | str], value: Any) -> str:
    if len(loc) < 2 or loc[0] != "motifs" or not isinstance(loc[1], int):
        return ""
    record = value["motifs"][loc[1]]
    name = record.get("name") if isinstance(record, dict) else None
    return f"motif {loc[1]}{f' ({_short(name)!r})' if isinstance(name, str) else ''}, "


def _field(loc: Sequence[int | str], value: Any) -> str:
    """The place as in the JSON: pydantic adds the kind of each generator before its keys, which is no key."""
    named, tagged = "", False
    for depth, step in enumerate(loc):
        is_tag = not tagged and isinstance(value, dict) and step in KINDS and value.get("kind") == step
        tagged = is_tag
        if is_tag:
            continue
        if depth > 1 or loc[0] != "motifs" or len(loc) == 1:
            named += f"[{step}]" if isinstance(step, int) else f"{'.' if named else ''}{step}"
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            value = None
    return named


def _keys(loc: Sequence[int | str]) -> list[str]:
    """Keys known at the place of an unknown one: of the innermost generator, motif or schema."""
    kind = next((step for step in reversed(loc[:-1]) if step in KINDS), None)
    if kind is not None:
        return [*KINDS[str(kind)].model_fields]
    return [*(Motif if len(loc) > 2 else MotifSchema).model_fields]


def _near(given: str, options: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, options, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(options)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "..."


def _nesting(text: str) -> int:
    """Deepest nesting of brackets outside strings: checked before any recursive reader sees the text."""
    depth = deepest = 0
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
