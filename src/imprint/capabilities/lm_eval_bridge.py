"""lm-eval's stock tasks on our own rows, in process: prompts and grading are theirs, data and forward passes ours.

A task is built from its YAML file inside lm-eval with the rows handed over in memory (`custom_dataset`), so nothing is
downloaded, cached or written, and lm-eval's index of all tasks (25 s) is never made.
"""

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imprint.capabilities.suites import Splits, TaskSource, instruction_prompt
from imprint.errors import ConfigError

Task = Any
"""An `lm_eval.api.task.ConfigurableTask`; lm-eval is optional, so it is not imported for its types."""
_TRANSPORT = ("dataset_path", "dataset_name", "tag", "group", "task_list")


def require_lm_eval() -> Path:
    """The folder of lm-eval's stock tasks; `ConfigError` with the command to install it if it is not there."""
    return Path(str(_optional("lm_eval").__file__)).parent / "tasks"


def _optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError("Benchmarks need lm-eval; install imprint with its eval extra (imprint[eval]).") from error


def build_task(source: TaskSource, *, shots: int | None) -> Task:
    """The stock task on our rows. `shots` None = the stock number.

    Raises:
        ConfigError: lm-eval lacks the task, or shots were asked for and there is nothing to draw them from.
        CorpusError: a file of the task is missing, malformed or without gold answers.
    """
    root = require_lm_eval()
    config = _stock(root, source) | dict(source.settings)
    splits = source.load()
    _fill(config, splits, shots, source.name)
    configurable = _optional("lm_eval.api.task").ConfigurableTask
    with _quiet():
        return configurable(config=config)


def _stock(root: Path, source: TaskSource) -> dict[str, Any]:
    if source.stock is None:
        return {}
    path = root / source.stock
    if not path.is_file():
        raise ConfigError(f"{source.name}: lm-eval has no task {source.stock}; imprint needs lm-eval 0.4.13 or later.")
    config: dict[str, Any] = _optional("lm_eval.tasks._yaml_loader").load_yaml(path)
    return {key: value for key, value in config.items() if key not in _TRANSPORT}


def _fill(config: dict[str, Any], splits: Splits, shots: int | None, name: str) -> None:
    """Put our rows, the number of shots and explicit defaults into a stock configuration."""
    shared = config.pop("shared", None)
    if shared is not None:
        config["doc_to_text"] = instruction_prompt(shared, shots or 0)
    elif shots is not None:
        config["num_fewshot"] = shots
    for role in ("training_split", "validation_split", "test_split"):
        if config.get(role) not in splits:
            config[role] = None
    wanted, there = config.get("num_fewshot") or 0, _shots_there(config, splits)
    if wanted > there:
        raise ConfigError(f"{name}: {wanted} shots were asked but its data has {there}; use --fewshot {there}.")
    config["metric_list"] = [_spelled_out(metric) for metric in config["metric_list"]]
    config["custom_dataset"] = lambda **_: _datasets(splits)


def _shots_there(config: Mapping[str, Any], splits: Splits) -> int:
    """How many worked examples there are to draw shots from."""
    samples = (config.get("fewshot_config") or {}).get("samples")
    split = config.get("fewshot_split") or config.get("training_split")
    return len(samples or splits.get(split or "", []))


def _spelled_out(metric: Mapping[str, Any]) -> dict[str, Any]:
    return {"aggregation": "mean", "higher_is_better": True} | dict(metric)


def _datasets(splits: Splits) -> dict[str, Any]:
    dataset = _optional("datasets").Dataset
    return {name: dataset.from_list(rows) for name, rows in splits.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without lm-eval's warnings of what is intended here (own data), and without the bars of `datasets`."""
    bars = _optional("datasets.utils.logging")
    logger = logging.getLogger("lm_eval")
    level, shown = logger.level, bars.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    bars.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()


def gold_index(task: Task, doc: Mapping[str, Any], options: list[str]) -> int | None:
    """Which option is right, by the task's own rules; None if the answer is not among them."""
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    if isinstance(gold, str):
        return options.index(gold) if gold in options else None
    return gold if isinstance(gold, int) and 0 <= gold < len(options) else None
