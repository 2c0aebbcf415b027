"""`imprint locate MODEL`: induction heads, or with `--corpus` what belongs to each cluster of text, in any model."""

from pathlib import Path
from typing import Any

from imprint.cli.arguments import Context, Count, Rows
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ModelError
from imprint.runs import write_json


def locate(
    model: str,
    /,
    *,
    revision: str | None = None,
    gguf_file: str | None = None,
    dtype: str = "float32",
    context: Context = 64,
    rows: Rows = 16,
    ablate: Count = 12,
    seed: int = 0,
    top: Count = 12,
    corpus: list[Path] | None = None,
    site: str = "",
    domain_key: str | None = None,
    dimensions: Count = 32,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Find previous-token and induction heads, each against its null, with copying behaviour and the effect of ablation.

    With --corpus and --site: find instead the dimensions and the direction that belong to each cluster of text at a site,
    with a linear probe and its control task.

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
        corpus: Text files, JSONL files or folders; each file's or folder's name is a cluster.
        site: Address of the states in which clusters are located, such as L20.resid_post.
        domain_key: Key of the cluster in JSONL; by default the file's or folder's name.
        dimensions: Most dimensions that belong to a cluster.
        out: Folder for `location.json` with every head (or `clusters.json`, and a store that the same command reads again).
        json: Print every head as JSON and nothing else.
    """
    if corpus is not None or site:
        from imprint.cli.locate_clusters import locate_clusters

        named = {"name": model, "revision": revision, "gguf_file": gguf_file, "dtype": dtype}
        text = {"paths": corpus or (), "domain_key": domain_key, "seed": seed}
        return locate_clusters(named, text, site, dimensions, out, json=json)
    from imprint.capabilities import ordinary_tokens, random_period_probes
    from imprint.mechanisms import locate as find_heads
    from imprint.models import check_context, family_of, load_model, load_tokenizer

    reporter = TerminalReporter(quiet=json)
    folder = None if out is None else output_folder(out)
    with reporter.stage("load the model", None):
        loaded = load_model(model, revision=revision, gguf_file=gguf_file, dtype=dtype)
        tokenizer = load_tokenizer(model, revision=revision, gguf_file=gguf_file)
    if family_of(loaded.config.model_type).objective != "causal":
        raise ModelError(
            f"{model}: a {loaded.config.model_type} model does not predict the next token, so it cannot copy"
        )
    check_context(loaded, context)
    bos = tokenizer.bos_token_id
    probes = random_period_probes(ordinary_tokens(tokenizer), rows=rows, seed=seed, bos=bos, context=context)
    with reporter.stage("score and ablate heads", ablate) as advance:
        found = find_heads(loaded, probes, seed=seed, ablate=ablate, advance=advance).as_dict()
    if folder is not None:
        write_json(folder / "location.json", found)
    if json:
        return print_json(found)
    _show(found, top)


def _show(found: dict[str, Any], top: int) -> None:
    columns = ("head", "prefix matching", "worst period", "offset", "p", "previous token", "ablation (nats)", "role")
    ranked = sorted(found["heads"], key=lambda head: -max(head["prefix_matching"]["estimate"], head["previous_token"]))
    rows = [
        (
            head["head"],
            head["prefix_matching"]["estimate"],
            head["prefix_matching_worst"],
            head["best_offset"],
            head["p_induction"],
            head["previous_token"],
            None if head["ablation"] is None else head["ablation"]["estimate"],
            head["role"],
        )
        for head in ranked[:top]
    ]
    print_table(f"The {len(rows)} strongest of {len(ranked)} heads", columns, rows)
    accuracy, chance = found["copy_accuracy"], found["copy_chance"]
    prefix, previous = found["null_prefix_95"], found["null_previous_95"]
    print_lines(
        [
            f"Copy accuracy {accuracy['estimate']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}], chance {chance:.4f}.",
            f"95 % of null maxima: prefix matching {prefix:.3f}, previous token {previous:.3f}.",
        ]
    )
