"""Benchmark files in the formats they are published in, as the rows that lm-eval's stock tasks expect.

One reader a format, a list of dictionaries out; column names are those of the Hugging Face datasets that the stock
prompts were written for. Archives are read member by member and never unpacked to disk. Every row must carry its gold
answer: `CorpusError` names the file and the row of the first that does not.
"""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from imprint.errors import CorpusError

Row = dict[str, Any]
WSC273 = 273
"""The first 273 schemas of the collection are the set that papers report."""
MIRRORED = 1000
"""Balanced COPA's mirror of item 7 is item 1007: the same alternatives, the other one right. They are one `group`."""


def read_text(path: Path) -> str:
    """A file's text, UTF-8 with or without a byte-order mark; `CorpusError` if it is missing, empty or not UTF-8."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: the benchmark file cannot be read ({_reason(error)}); check --data.") from error
    if not text.strip():
        raise CorpusError(f"{path}: the benchmark file is empty; fetch it again.")
    return text


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "not UTF-8 text"


def require_gold(rows: Sequence[Row], keys: Sequence[str], path: Path | str) -> list[Row]:
    """The rows, once every one has a gold answer under each key: not missing, not empty, not -1 (GLUE's hidden label)."""
    for number, row in enumerate(rows, start=1):
        for key in keys:
            if row.get(key) in (None, "", -1):
                found = f"'{key}' is {row[key]!r}" if key in row else f"there is no '{key}'"
                raise CorpusError(f"{path}: row {number} has no gold answer ({found}); use a split with answers.")
    if not rows:
        raise CorpusError(f"{path}: the file holds no items; fetch it again.")
    return list(rows)


def read_jsonl(path: Path, gold: Sequence[str]) -> list[Row]:
    """One JSON object a line (GSM8K, MATH-500)."""
    return require_gold(list(_json_lines(read_text(path), path)), gold, path)


def _json_lines(text: str, where: Path | str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield _json_object(line, f"{where}: line {number}")


def _json_object(text: str, where: str) -> Row:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CorpusError(f"{where} is not JSON ({error}); fetch the file again.") from error
    if not isinstance(value, dict):
        raise CorpusError(f"{where} is JSON but not an object; a task file or a row of one is an object.")
    return value


def read_json(path: Path) -> Row:
    """One JSON object that is the whole file (BBH, Super-NaturalInstructions, BIG-bench)."""
    return _json_object(read_text(path), str(path))


def read_bbh(path: Path) -> list[Row]:
    """BIG-Bench Hard: rows with `input` and `target`."""
    examples = read_json(path).get("examples", [])
    return require_gold(
        [{"input": row.get("input"), "target": row.get("target")} for row in examples], ["target"], path
    )


def read_math(path: Path) -> list[Row]:
    r"""MATH-500 as `problem` and `solution`; items whose solution boxes no answer cannot be graded and are refused."""
    rows = read_jsonl(path, ["question", "answer"])
    missing = [number for number, row in enumerate(rows, start=1) if "\\boxed" not in row["answer"]]
    if missing:
        raise CorpusError(f"{path}: row {missing[0]} has no gold answer (no \\boxed in its solution); remove the row.")
    return [{"problem": row["question"], "solution": row["answer"]} for row in rows]


def read_sst2(path: Path) -> list[Row]:
    """SST-2 as sentence TAB label, without a header."""
    pairs = [line.rsplit("\t", 1) for line in read_text(path).splitlines() if line.strip()]
    rows = [{"sentence": pair[0], "label": _label(pair[1:], path, n)} for n, pair in enumerate(pairs, start=1)]
    return require_gold(rows, ["label"], path)


def _label(cells: Sequence[str], path: Path, number: int) -> int | None:
    """The whole number in the first cell; None where there is no cell."""
    if not cells or not cells[0].strip():
        return None
    try:
        return int(cells[0])
    except ValueError as error:
        raise CorpusError(f"{path}: row {number} has the label {cells[0]!r}; labels are whole numbers.") from error


def read_rte(path: Path) -> list[Row]:
    """GLUE RTE as a TSV with a header; label 0 = entailment."""
    reader = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    return _labelled(reader, path)


def _labelled(reader: "csv.DictReader[str]", path: Path) -> list[Row]:
    rows = []
    for number, row in enumerate(reader, start=1):
        label = _label([row["label"]] if row.get("label") is not None else [], path, number)
        rows.append({**row, "label": label})
    return require_gold(rows, ["label"], path)


def read_mmlu(path: Path) -> list[Row]:
    """MMLU with the header question, choice0..3, answer (an index); `choices` is a list of four."""
    rows = []
    for number, row in enumerate(csv.DictReader(io.StringIO(read_text(path))), start=1):
        answer = _label([row["answer"]] if row.get("answer") is not None else [], path, number)
        choices = [row.get(f"choice{index}") or "" for index in range(4)]
        rows.append({"question": row.get("question") or "", "choices": choices, "answer": answer})
    return require_gold(rows, ["answer"], path)


def read_ethics(path: Path) -> list[Row]:
    """ETHICS with a header and a `label`; in virtue files the scenario is split from its trait at [SEP]."""
    rows = _labelled(csv.DictReader(io.StringIO(read_text(path))), path)
    return [_with_trait(row) if " [SEP] " in (row.get("scenario") or "") else row for row in rows]


def _with_trait(row: Row) -> Row:
    scenario, _, trait = str(row["scenario"]).partition(" [SEP] ")
    return {**row, "scenario": scenario, "trait": trait}


def read_utilitarianism(path: Path) -> list[Row]:
    """ETHICS utilitarianism, without a header: the better scenario first."""
    rows = [row for row in csv.reader(io.StringIO(read_text(path))) if row]
    pairs = [{"activity": row[0], "baseline": row[1] if len(row) > 1 else None} for row in rows]
    return require_gold(pairs, ["baseline"], path)


def read_copa(path: Path) -> list[Row]:
    """Balanced COPA: premise, the two choices, question ("cause" or "effect"), label 0 or 1, and the pair's `group`."""
    items = _xml(path).iter("item")
    return require_gold([_copa_row(item) for item in items], ["label", "premise", "choice1", "choice2"], path)


def _copa_row(item: ElementTree.Element) -> Row:
    gold = item.get("most-plausible-alternative")
    return {
        "premise": _flat(item.findtext("p", "")),
        "choice1": _flat(item.findtext("a1", "")),
        "choice2": _flat(item.findtext("a2", "")),
        "question": item.get("asks-for"),
        "label": int(gold) - 1 if gold in ("1", "2") else None,
        "group": int(item.get("id", "-1")) % MIRRORED,
    }


def read_wsc273(path: Path) -> list[Row]:
    """The first 273 Winograd schemas: text, pronoun, its place in the text, the two options, the label.

    Schemas in a row with the same options are variants of one sentence and share a `group`.
    """
    rows = [_wsc_row(schema) for schema in list(_xml(path).iter("schema"))[:WSC273]]
    twins = groupby(rows, key=lambda row: sorted(row["options"]))
    grouped = [{**row, "group": number} for number, (_, variants) in enumerate(twins) for row in variants]
    return require_gold(grouped, ["label", "pronoun"], path)


def _wsc_row(schema: ElementTree.Element) -> Row:
    parts = [_flat(schema.findtext(f"text/{part}", "")) for part in ("txt1", "pron", "txt2")]
    gold = _flat(schema.findtext("correctAnswer", "")).rstrip(".")
    return {
        "text": " ".join(part for part in parts if part),
        "pronoun": parts[1],
        "pronoun_loc": len(parts[0]) + 1 if parts[0] else 0,
        "options": [_flat(answer.text or "") for answer in schema.iter("answer")],
        "label": {"A": 0, "B": 1}.get(gold),
    }


def _xml(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(path.read_bytes())
    except OSError as error:
        raise CorpusError(f"{path}: the benchmark file cannot be read ({error.strerror}); check --data.") from error
    except ElementTree.ParseError as error:
        raise CorpusError(f"{path}: not well-formed XML ({error}); fetch the file again.") from error


def _flat(text: str) -> str:
    """One line, single spaces."""
    return " ".join(text.split())


def read_wikitext(path: Path) -> list[Row]:
    """WikiText as one document a page; a page begins at a line ` = Title = ` with one equals sign a side."""
    pages: list[list[str]] = []
    for line in read_text(path).splitlines(keepends=True):
        if _is_title(line) or not pages:
            pages.append([])
        pages[-1].append(line)
    texts = ["".join(page) for page in pages]
    return require_gold([{"page": text} for text in texts if text.strip()], ["page"], path)


def _is_title(line: str) -> bool:
    return line.startswith(" = ") and not line.startswith(" = = ") and line.rstrip().endswith(" =")


def archive_members(path: Path, wanted: Callable[[str], bool]) -> Mapping[str, str]:
    """The text of the members of a tar archive (any compression) whose names are wanted; nothing touches the disk."""
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile() and wanted(member.name)]
            return {member.name: _member(archive, member) for member in members}
    except (OSError, tarfile.TarError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CorpusError(f"{path}: the archive cannot be read ({reason}); check --data or fetch it again.") from error


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read().decode("utf-8")


def blimp_rows(text: str, where: str) -> list[Row]:
    """One BLiMP paradigm: pairs of a good and a bad sentence."""
    return require_gold(list(_json_lines(text, where)), ["sentence_good", "sentence_bad"], where)


def bigbench_rows(text: str, where: str) -> list[Row]:
    """A BIG-bench JSON task as the `inputs`, `targets`, `multiple_choice_targets` and `_scores` of its HF dataset.

    The input is framed as BIG-bench's own json tasks are: "Q: " and "A: " unless the task sets other prefixes, the task's
    own prefix, and the choices in the input unless it says not to; stripped, since lm-eval puts the space before an answer.
    """
    task = _json_object(text, where)
    if "examples" not in task:
        raise CorpusError(f"{where}: the task has no 'examples'; a programmatic BIG-bench task cannot be read.")
    return require_gold([_bigbench_row(task, example) for example in task["examples"]], ["targets"], where)


def _bigbench_row(task: Row, example: Row) -> Row:
    scores: Mapping[str, float] = example.get("target_scores", {})
    target = example.get("target", [choice for choice, score in scores.items() if score == max(scores.values())])
    choices = "".join(f"{task.get('example_choice_prefix', chr(10) + '  choice: ')}{choice}" for choice in scores)
    shown = choices if task.get("append_choices_to_input", True) else ""
    start, end = task.get("example_input_prefix", "\nQ: "), task.get("example_output_prefix", "\nA: ")
    return {
        "inputs": f"{task.get('task_prefix', '')}{start}{example['input']}{shown}{end}".strip(),
        "targets": [target] if isinstance(target, str) else [str(one) for one in target] or None,
        "multiple_choice_targets": list(scores),
        "multiple_choice_scores": [round(score) for score in scores.values()],
    }


def read_instructions(path: Path) -> tuple[Row, list[Row]]:
    """A Super-NaturalInstructions task: what all its items share, and the rows (`input`, `output` = a list of answers)."""
    task = read_json(path)
    absent = [key for key in ("Definition", "Positive Examples", "Instances") if key not in task]
    if absent:
        raise CorpusError(f"{path}: no '{absent[0]}'; a Super-NaturalInstructions task has it beside Instances.")
    rows = [{"input": row.get("input"), "output": _answers(row.get("output"))} for row in task["Instances"]]
    definition = task["Definition"]
    shared = {"definition": definition if isinstance(definition, str) else " ".join(definition)}
    return shared | {"examples": task["Positive Examples"]}, require_gold(rows, ["input", "output"], path)


def _answers(output: str | list[str] | None) -> list[str] | None:
    answers = [output] if isinstance(output, str) else output
    return answers if answers and all(answer for answer in answers) else None
