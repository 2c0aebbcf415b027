"""`imprint locate MODEL`: previous-token and induction heads of any Hugging Face causal model."""

from pathlib import Path

from imprint.capabilities import ordinary_tokens, random_period_probes
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError
from imprint.mechanisms import Location
from imprint.mechanisms import locate as find_heads
from imprint.models import Anatomy, load_model, load_tokenizer
from imprint.runs import write_json


def locate(
    model: str,
    /,
    *,
    revision: str | None = None,
    gguf_file: str | None = None,
    dtype: str = "float32",
    context: int = 64,
    rows: int = 16,
    ablate: int = 12,
    seed: int = 0,
    top: int = 12,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Find previous-token and induction heads, each against its null, with copying behaviour and the effect of ablation.

    Args:
        model: A hub name, the folder of a saved model, or a .gguf file.
        revision: Branch, tag or commit on the hub (Pythia's checkpoints are revisions).
        gguf_file: GGUF file inside the folder or repository.
        dtype: float32, bfloat16 or float64.
        context: Length of the probes in tokens; two different repeat periods fit into it.
        rows: Random sequences for each period.
        ablate: How many heads to ablate: those with the highest scores.
        seed: Seed of the random sequences.
        top: How many heads of each kind to show.
        out: Folder for `location.json` with every head.
        json: Print every head as JSON and nothing else.
    """
    reporter = TerminalReporter(quiet=json)
    folder = None if out is None else output_folder(out)
    with reporter.stage("load the model", None):
        loaded = load_model(model, revision=revision, gguf_file=gguf_file, dtype=dtype)
        tokenizer = load_tokenizer(model, revision=revision, gguf_file=gguf_file)
    limit = Anatomy(loaded).context_length
    if limit is not None and context > limit:
        raise ConfigError(f"--context {context} is longer than the model's context of {limit} tokens")
    bos = tokenizer.bos_token_id
    probes = random_period_probes(ordinary_tokens(tokenizer), rows=rows, seed=seed, bos=bos, context=context)
    with reporter.stage("score and ablate heads", ablate) as advance:
        found = find_heads(loaded, probes, seed=seed, ablate=ablate, advance=advance)
    if folder is not None:
        write_json(folder / "location.json", found.as_dict())
    if json:
        return print_json(found.as_dict())
    _show(found, top)


def _show(found: Location, top: int) -> None:
    columns = ("head", "prefix matching", "worst period", "offset", "p", "previous token", "ablation (nats)", "role")
    ranked = sorted(found.heads, key=lambda head: -max(head.prefix_matching.estimate, head.previous_token))
    rows = [
        (
            head.head,
            head.prefix_matching.estimate,
            head.prefix_matching_worst,
            head.best_offset,
            head.p_induction,
            head.previous_token,
            None if head.ablation is None else head.ablation.estimate,
            head.role,
        )
        for head in ranked[:top]
    ]
    print_table(f"The {len(rows)} strongest of {len(found.heads)} heads", columns, rows)
    accuracy = found.copy_accuracy
    print_lines(
        [
            f"Copy accuracy {accuracy.estimate:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}], chance {found.copy_chance:.4f}.",
            f"95 % of null maxima: prefix matching {found.null_prefix_95:.3f}, previous token {found.null_previous_95:.3f}.",
        ]
    )
