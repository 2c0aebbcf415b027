"""The benchmark suites by name: which files they read, which of lm-eval's stock tasks they run, at how many shots.

Prompts, answers and filters are those of lm-eval's stock task of the same name (`TaskSource.stock` is its YAML file inside
lm-eval), except for Super-NaturalInstructions, which lm-eval lacks: its prompt is Tk-Instruct's (Wang et al. 2022, §4).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from imprint.capabilities import formats
from imprint.capabilities.formats import Row
from imprint.errors import ConfigError

Splits = Mapping[str, list[Row]]
Load = Callable[[], Splits]
_MOST_LABELS = 8
"""A Super-NaturalInstructions task with at most so many different answers is scored as a choice among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSource:
    """One task: its name, the stock YAML of lm-eval that poses it, and the rows of its splits, read when asked for."""

    name: str
    stock: str | None
    load: Load
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the stock task: names of splits; the whole task where there is no stock one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """A capability measured by one or more tasks. `fewshot` None = as many shots as the stock task has."""

    name: str
    ability: str
    folder: str
    tasks: Callable[[Path], list[TaskSource]]
    fewshot: int | None
    about: str


def suite_named(name: str) -> Suite:
    """The suite of a name, or a part of one: "bigbench:arithmetic" has the tasks whose names contain "arithmetic".

    Raises:
        ConfigError: there is no such suite; the message has the nearest names.
    """
    whole, _, part = name.partition(":")
    if whole in SUITES:
        return SUITES[whole] if not part else _part_of(SUITES[whole], name, part)
    near = get_close_matches(name, [*SUITES, *GROUPS], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(SUITES)}."
    raise ConfigError(f"suite '{name}' is not known; {hint}")


def _part_of(suite: Suite, name: str, part: str) -> Suite:
    return replace(suite, name=name, tasks=lambda place: [one for one in suite.tasks(place) if part in one.name])


def suites_named(names: Sequence[str]) -> list[Suite]:
    """The suites of a list of names, each of which may be an ability such as "ethics"; each suite once, in order."""
    listed = [member for name in names for member in GROUPS.get(name, (name,))]
    return [suite_named(name) for name in dict.fromkeys(listed)]


def task_sources(suite: Suite, data: Path) -> list[TaskSource]:
    """The tasks of a suite whose files lie under `data`; `ConfigError` if the folder or every file is missing."""
    folder = data if data.is_file() and suite.folder == "super_ni" else data / suite.folder
    if not folder.exists():
        raise ConfigError(f"{folder}: no such folder; suite '{suite.name}' reads it, so give its parent with --data.")
    sources = suite.tasks(folder)
    if not sources:
        raise ConfigError(f"{folder}: there is no task of suite '{suite.name}'; check the folder's files and the name.")
    return sources


def _present(folder: Path, splits: Mapping[str, tuple[str, Callable[[Path], list[Row]]]]) -> Load:
    """Reads each split's file; the few-shot split ("train") may be absent."""

    def load() -> Splits:
        found = {split: (folder / name, read) for split, (name, read) in splits.items()}
        return {split: read(path) for split, (path, read) in found.items() if split != "train" or path.exists()}

    return load


def _gsm8k(folder: Path) -> list[TaskSource]:
    def read(path: Path) -> list[Row]:
        return formats.read_jsonl(path, ["question", "answer"])

    load = _present(folder, {"test": ("test.jsonl", read)})
    return [TaskSource(name="gsm8k_cot", stock="gsm8k/gsm8k-cot.yaml", load=load)]


def _math(folder: Path) -> list[TaskSource]:
    load = _present(folder, {"test": ("math500.jsonl", formats.read_math)})
    return [TaskSource(name="hendrycks_math500", stock="hendrycks_math/hendrycks_math500.yaml", load=load)]


def _bbh(folder: Path) -> list[TaskSource]:
    return [
        TaskSource(
            name=f"bbh_cot_fewshot_{path.stem}",
            stock=f"bbh/cot_fewshot/{path.stem}.yaml",
            load=_present(path.parent, {"test": (path.name, formats.read_bbh)}),
        )
        for path in sorted((folder / "bbh").glob("*.json"))
    ]


def _winograd(folder: Path) -> list[TaskSource]:
    load = _present(folder, {"test": ("WSCollection.xml", formats.read_wsc273)})
    return [TaskSource(name="wsc273", stock="wsc273/default.yaml", load=load)]


def _sst2(folder: Path) -> list[TaskSource]:
    files = {"train": ("train.tsv", formats.read_sst2), "validation": ("dev.tsv", formats.read_sst2)}
    return [_with_shots("sst2", "glue/sst2/default.yaml", _present(folder, files))]


def _rte(folder: Path) -> list[TaskSource]:
    files = {"train": ("train.tsv", formats.read_rte), "validation": ("dev.tsv", formats.read_rte)}
    return [_with_shots("rte", "glue/rte/default.yaml", _present(folder, files))]


def _with_shots(name: str, stock: str, load: Load) -> TaskSource:
    return TaskSource(name=name, stock=stock, load=load, settings={"fewshot_split": "train"})


def _copa(folder: Path) -> list[TaskSource]:
    """Shots come from the last tenth of the items (fifty) and their mirrors, which are then not asked."""

    def load() -> Splits:
        rows = formats.read_copa(folder / "balanced-copa-dev-all.xml")
        numbers = sorted({row["group"] for row in rows})
        held = set(numbers[-max(2, len(numbers) // 10) :])
        shots = [row for row in rows if row["group"] in held]
        return {"train": shots, "validation": [row for row in rows if row["group"] not in held]}

    return [_with_shots("copa", "super_glue/copa/default.yaml", load)]


def _mmlu(folder: Path) -> list[TaskSource]:
    subjects = [path.name.removesuffix("_test.csv") for path in sorted((folder / "test").glob("*_test.csv"))]
    return [
        TaskSource(
            name=f"mmlu_{subject}",
            stock=f"mmlu/default/mmlu_{subject}.yaml",
            load=_present(
                folder,
                {
                    "dev": (f"dev/{subject}_dev.csv", formats.read_mmlu),
                    "test": (f"test/{subject}_test.csv", formats.read_mmlu),
                },
            ),
        )
        for subject in subjects
    ]


_ETHICS = {
    "commonsense": ("ethics_cm", "cm", formats.read_ethics),
    "deontology": ("ethics_deontology", "deontology", formats.read_ethics),
    "justice": ("ethics_justice", "justice", formats.read_ethics),
    "utilitarianism": ("ethics_utilitarianism", "util", formats.read_utilitarianism),
    "virtue": ("ethics_virtue", "virtue", formats.read_ethics),
}


def _ethics(folder: Path) -> list[TaskSource]:
    return [_ethics_task(folder, part) for part in _ETHICS if (folder / part).is_dir()]


def _ethics_task(folder: Path, part: str) -> TaskSource:
    name, stem, read = _ETHICS[part]
    load = _present(folder / part, {"train": (f"{stem}_train.csv", read), "test": (f"{stem}_test.csv", read)})
    return TaskSource(name=name, stock=f"hendrycks_ethics/{part}.yaml", load=load)


def _blimp(folder: Path) -> list[TaskSource]:
    archive = folder / "blimp_data.tar.xz"
    loose = sorted(folder.glob("*.jsonl"))
    texts = {path.stem: formats.read_text(path) for path in loose} if loose else _paradigms(archive)
    return [_blimp_task(name, text, str(folder)) for name, text in sorted(texts.items())]


def _paradigms(archive: Path) -> dict[str, str]:
    members = formats.archive_members(archive, lambda name: name.endswith(".jsonl"))
    return {Path(name).stem: text for name, text in members.items()}


def _blimp_task(name: str, text: str, where: str) -> TaskSource:
    def load() -> Splits:
        return {"train": formats.blimp_rows(text, f"{where}/{name}.jsonl")}

    return TaskSource(name=f"blimp_{name}", stock=f"blimp/{name}.yaml", load=load)


def _wikitext(folder: Path) -> list[TaskSource]:
    load = _present(folder, {"test": ("test.txt", formats.read_wikitext)})
    settings = {"training_split": None, "validation_split": None}
    return [TaskSource(name="wikitext", stock="wikitext/wikitext.yaml", load=load, settings=settings)]


def _bigbench(folder: Path) -> list[TaskSource]:
    members = formats.archive_members(folder / "bigbench_selected.tar.xz", lambda name: name.endswith("/task.json"))
    found = [_bigbench_task(name, text) for name, text in sorted(members.items()) if '"target_scores"' in text]
    return found


def _bigbench_task(member: str, text: str) -> TaskSource:
    name = member.removesuffix("/task.json").split("benchmark_tasks/")[-1].replace("/", ".")

    def load() -> Splits:
        rows = formats.bigbench_rows(text, member)
        return {"default": [row for row in rows if row["multiple_choice_targets"]]}

    return TaskSource(
        name=f"bigbench_{name}",
        stock="bigbench/multiple_choice_template_b_yaml",
        load=load,
        settings={"task": f"bigbench_{name}", "dataset_kwargs": None, "process_docs": None},
    )


def _super_ni(place: Path) -> list[TaskSource]:
    paths = [place] if place.is_file() else sorted(place.glob("*.json"))
    return [_instructions_task(path) for path in paths]


def _instructions_task(path: Path) -> TaskSource:
    shared, rows = formats.read_instructions(path)
    labels = sorted({row["output"][0] for row in rows})
    choices: dict[str, Any] = {
        "output_type": "multiple_choice",
        "doc_to_choice": labels,
        "metric_list": _metrics("acc"),
    }
    free: dict[str, Any] = {
        "output_type": "generate_until",
        "metric_list": _metrics("exact_match"),
        "generation_kwargs": {"until": ["\n\n"], "do_sample": False, "max_gen_toks": 64},
    }
    return TaskSource(
        name=f"super_ni_{path.stem}",
        stock=None,
        load=lambda: {"test": [{"input": row["input"], "output": row["output"][0]} for row in rows]},
        settings={
            "task": f"super_ni_{path.stem}",
            "test_split": "test",
            "doc_to_text": "{{input}}",
            "doc_to_target": "{{output}}",
            **(choices if len(labels) <= _MOST_LABELS else free),
            "shared": shared,
        },
    )


def _metrics(name: str) -> list[dict[str, Any]]:
    return [{"metric": name, "aggregation": "mean", "higher_is_better": True}]


def instruction_prompt(shared: Row, shots: int) -> Callable[[Row], str]:
    """Tk-Instruct's prompt: definition, positive examples, then the item ("Now complete the following example")."""
    if shots > len(shared["examples"]):
        raise ConfigError(f"--fewshot {shots} was asked but the task has {len(shared['examples'])} positive examples.")
    shown = [
        f" Positive Example {number} -\nInput: {_ended(example['input'])}\n Output: {_ended(example['output'])}\n\n"
        for number, example in enumerate(shared["examples"][:shots], start=1)
    ]
    head = f"Definition: {str(shared['definition']).strip()}\n\n{''.join(shown)}"
    return lambda row: f"{head}Now complete the following example -\nInput: {_ended(row['input'])}\nOutput:"


def _ended(value: str | list[str]) -> str:
    text = (value if isinstance(value, str) else value[0]).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _suite(
    name: str, ability: str, folder: str, tasks: Callable[[Path], list[TaskSource]], fewshot: int | None, about: str
) -> Suite:
    return Suite(name=name, ability=ability, folder=folder, tasks=tasks, fewshot=fewshot, about=about)


_LISTED = (
    _suite(
        "gsm8k", "reasoning", "gsm8k", _gsm8k, None, "grade-school sums, chain of thought, 8 stock shots, generated"
    ),
    _suite("math", "reasoning", "math", _math, None, "MATH-500, boxed answers, no shots, generated"),
    _suite("bbh", "reasoning", "bbh", _bbh, None, "BIG-Bench Hard, chain of thought, 3 stock shots, generated"),
    _suite("bigbench", "reasoning", "bigbench", _bigbench, None, "BIG-bench tasks with choices, no shots"),
    _suite("sst2", "in-context", "sst2", _sst2, 4, "sentiment of a sentence from a few examples"),
    _suite("rte", "in-context", "rte", _rte, 4, "does the text entail the hypothesis, from a few examples"),
    _suite("copa", "in-context", "balanced_copa", _copa, 4, "cause or effect, balanced COPA, from a few examples"),
    _suite("super_ni", "in-context", "super_ni", _super_ni, 2, "Super-NaturalInstructions task files"),
    _suite("mmlu", "knowledge", "mmlu", _mmlu, 5, "57 subjects, four choices, the subject's dev items as shots"),
    _suite("ethics", "ethics", "ethics", _ethics, None, "commonsense, deontology, justice, utilitarianism, virtue"),
    _suite("blimp", "language", "blimp", _blimp, None, "67 paradigms of grammatical against ungrammatical sentences"),
    _suite("wikitext", "language", "wikitext2", _wikitext, None, "perplexity of whole pages"),
    _suite("winograd", "control", "wsc", _winograd, None, "the 273 Winograd schemas"),
)
SUITES: Mapping[str, Suite] = {suite.name: suite for suite in _LISTED}
GROUPS: Mapping[str, tuple[str, ...]] = {
    ability: tuple(suite.name for suite in _LISTED if suite.ability == ability)
    for ability in dict.fromkeys(suite.ability for suite in _LISTED)
}
"""Groups of suites: "reasoning", "in-context", "knowledge", "ethics", "language", "control"."""
