"""`imprint evaluate MODEL --data DIR --suite NAME`: benchmark suites on any Hugging Face model, perturbed or not."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from imprint.cli.arguments import Count, Shots
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.runs import Store, write_json

if TYPE_CHECKING:
    import polars as pl

    from imprint.capabilities import EvaluateModel, SuiteSummary


def evaluate(
    model: str,
    /,
    *,
    data: Path,
    suite: list[str],
    limit: Count | None = None,
    fewshot: Shots | None = None,
    seed: int = 0,
    interventions: Path | None = None,
    generate: bool = True,
    max_new_tokens: Count = 256,
    revision: str | None = None,
    gguf_file: str | None = None,
    dtype: str = "float32",
    out: Path = Path("imprint-evaluation"),
    json: bool = False,
) -> None:
    """Accuracy, log-probability of the right answer, calibration and perplexity on benchmark suites, item by item.

    Prompts and grading are lm-eval's; files are read by path and nothing is fetched. The folder gets items.parquet (a row
    an item) and summary.json; with --interventions also perturbed.parquet and what each suite lost, paired by item. The
    same command serves stored results again without computing.

    Args:
        model: A hub name, the folder of a saved model, a .gguf file, or package:NAME/FILE.
        data: The folder that holds the suites' folders (gsm8k, mmlu, ...), or one Super-NaturalInstructions file.
        suite: Suites or abilities, separated by commas: gsm8k, math, bbh, bigbench, sst2, rte, copa, super_ni, mmlu,
            ethics, blimp, wikitext, winograd; or reasoning, in-context, knowledge, ethics, language, control.
        limit: Items a suite, drawn at random and spread over its tasks; by default all.
        fewshot: Shots; by default each suite's own.
        seed: Seed of the drawn items and shots.
        interventions: A file of interventions (JSON or YAML); the model is evaluated without and with them.
        generate: Let the model answer tasks with open answers; --no-generate takes the gold answer's probability only.
        max_new_tokens: Length of an answer.
        revision: Branch, tag or commit on the hub.
        gguf_file: GGUF file inside the folder or repository.
        dtype: float32, bfloat16 or float64.
        out: Folder for the results.
        json: Print the summary as JSON and nothing else.
    """
    from imprint.capabilities import EvaluateModel, cost_numbers, costs, summarise
    from imprint.models import ImportedModel

    folder = output_folder(out)
    base = EvaluateModel.of(
        ImportedModel.of(model, revision=revision, gguf_file=gguf_file, dtype=dtype),
        [name.strip() for part in suite for name in part.split(",") if name.strip()],
        data,
        limit=limit,
        fewshot=fewshot,
        seed=seed,
        generate=generate,
        max_new_tokens=max_new_tokens,
    )
    reporter, store = TerminalReporter(quiet=json), Store(folder / "store")
    changed = None if interventions is None else base.under(interventions)
    items = _items(base, store, reporter, folder / "items.parquet", "score the items")
    summaries = summarise(items, seed=seed)
    found: dict[str, Any] = {"suites": [summary.as_dict() for summary in summaries]}
    if changed is not None:
        perturbed = _items(changed, store, reporter, folder / "perturbed.parquet", "score them under interventions")
        found["perturbed"] = [summary.as_dict() for summary in summarise(perturbed, seed=seed)]
        found["costs"] = cost_numbers(costs(items, perturbed, seed=seed))
    write_json(folder / "summary.json", found)
    if json:
        return print_json(found)
    _show(found, summaries, folder)


def _items(step: "EvaluateModel", store: Store, reporter: TerminalReporter, copy: Path, stage: str) -> "pl.DataFrame":
    """The items of a step, also as a copy where people look for them."""
    from imprint.capabilities import ITEMS, read_items, write_items

    with reporter.stage(stage, None) as advance:
        items = read_items(store.get(step, progress=reporter, advance=advance) / ITEMS)
    write_items(items, copy)
    return items


def _show(found: dict[str, Any], summaries: "list[SuiteSummary]", folder: Path) -> None:
    columns = ("suite", "items", "accuracy", "95 %", "chance", "majority", "log-prob of the answer", "ECE above floor")
    print_table("Benchmarks", columns, [_row(summary) for summary in summaries])
    read = [summary for summary in summaries if summary.perplexity is not None]
    print_lines(
        f"{one.suite}: perplexity {one.perplexity.word.estimate:.2f} a word, {one.perplexity.byte.estimate:.3f} a byte"
        for one in read
        if one.perplexity is not None
    )
    if "costs" in found:
        print_table("Under the interventions", _COST_COLUMNS, [_cost(*each) for each in found["costs"].items()])
    print_lines([f"Every item: {folder / 'items.parquet'}"])


_COST_COLUMNS = ("suite", "accuracy before", "after", "share of what is above chance lost", "p", "log-prob lost (nats)")


def _row(summary: "SuiteSummary") -> tuple[object, ...]:
    accuracy, error = summary.accuracy, summary.calibration
    return (
        summary.suite,
        summary.items,
        None if accuracy is None else accuracy.estimate,
        "-" if accuracy is None else f"{accuracy.low:.3f} to {accuracy.high:.3f}",
        summary.chance,
        summary.majority,
        summary.log_prob.estimate,
        None if error is None else error.debiased.estimate,
    )


def _cost(suite: str, cost: dict[str, Any]) -> tuple[object, ...]:
    accuracy, log_prob = cost.get("accuracy"), cost["log_prob"]
    if accuracy is None:
        return suite, None, None, None, log_prob["p"], log_prob["lost"]["estimate"]
    share = accuracy["corrected"].get("estimate")
    return suite, accuracy["before"], accuracy["after"], share, accuracy["p"], log_prob["lost"]["estimate"]
