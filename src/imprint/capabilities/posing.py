"""From a suite's files to questions: which items are asked, with which shots, and the texts whose probability is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imprint.capabilities.lm_eval_bridge import Task, build_task, gold_index
from imprint.capabilities.suites import Suite, TaskSource
from imprint.errors import ConfigError, InputError
from imprint.runs import derive

Kind = Literal["choice", "generate", "document"]
_KINDS: Mapping[str, Kind] = {
    "multiple_choice": "choice",
    "generate_until": "generate",
    "loglikelihood_rolling": "document",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One item of a task: its document, its prompt, and the (context, continuation) texts that are scored for it."""

    suite: str
    task: str
    number: int
    """Its place in the task's file."""
    group: int
    """Shared by the questions of a task that vary one sentence; otherwise its number."""
    kind: Kind
    document: Mapping[str, Any]
    prompt: str
    options: tuple[str, ...]
    """The answers to choose from; the gold answer alone where answers are open, none for a document."""
    gold: int
    pairs: tuple[tuple[str, str], ...]


def pose_suite(
    suite: Suite,
    sources: Sequence[TaskSource],
    tasks: dict[str, Task],
    *,
    limit: int | None,
    fewshot: int | None,
    seed: int,
) -> list[Question]:
    """The questions of a suite; its tasks are added to `tasks`. See `prepare` for limit, fewshot and seed."""
    shots = suite.fewshot if fewshot is None else fewshot
    if limit is not None and limit < len(sources):
        drawn = np.random.default_rng(derive(seed, suite.name)).permutation(len(sources))[:limit]
        sources = [sources[index] for index in sorted(drawn)]
    posed: list[Question] = []
    for place, source in enumerate(sources):
        task = tasks[source.name] = build_task(source, shots=shots)
        share = None if limit is None else limit // len(sources) + (place < limit % len(sources))
        posed += [
            _pose(suite.name, source.name, task, number, seed) for number in _drawn(task, share, seed, source.name)
        ]
    return posed


def _drawn(task: Task, share: int | None, seed: int, name: str) -> list[int]:
    """The numbers of the items that are asked, in the order of the file."""
    total = len(task.task_docs)
    if share is None or share >= total:
        return list(range(total))
    order = np.random.default_rng(derive(seed, name)).permutation(total)
    return sorted(int(number) for number in order[:share])


def _pose(suite: str, name: str, task: Task, number: int, seed: int) -> Question:
    document = task.task_docs[number]
    if hasattr(task, "sampler"):
        task.set_fewshot_seed(derive(seed, name, number))
    context = task.fewshot_context(document, task.config.num_fewshot or 0, gen_prefix=task.doc_to_prefix(document))
    kind = _KINDS.get(task.OUTPUT_TYPE)
    if kind is None:
        raise ConfigError(
            f"{name}: a task of type {task.OUTPUT_TYPE} cannot be scored; use one with choices or answers."
        )
    options, gold, pairs = _answers(name, task, document, context, kind)
    return Question(
        suite=suite,
        task=name,
        number=number,
        group=int(document.get("group", number)),
        kind=kind,
        document=document,
        prompt=context if isinstance(context, str) else "",
        options=tuple(options),
        gold=gold,
        pairs=tuple(pairs),
    )


def _answers(
    name: str, task: Task, document: Mapping[str, Any], context: Any, kind: Kind
) -> tuple[list[str], int, list[tuple[str, str]]]:
    """The answers to score, which is right, and the (context, continuation) of each."""
    if kind == "document":
        return [], 0, [("", str(task.doc_to_target(document)))]
    if kind == "generate":
        target = task.doc_to_target(document)
        text = str(target[0] if isinstance(target, list) else target)
        return [text], 0, [(context, f"{task.config.target_delimiter}{text}")]
    options = task.doc_to_choice(document)
    gold = gold_index(task, document, options)
    if gold is None:
        raise InputError(f"{name}: the gold answer of an item is not among its options; check the task's file.")
    instances = task.construct_requests(doc=document, ctx=context, metadata=(name, 0, 1))
    return options, gold, [instance.args for instance in instances]
