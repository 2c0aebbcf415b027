"""`imprint locate MODEL`: heads of a mechanism, or with `--corpus` what belongs to each cluster of text, in any model."""

from pathlib import Path

from imprint.cli.arguments import Context, Count, Models, Rows
from imprint.cli.locate_mechanism import INDUCTION, HeadOptions, locate_heads


def locate(
    model: str,
    /,
    *,
    revision: str | None = None,
    gguf_file: str | None = None,
    dtype: str = "float32",
    mechanism: list[str] | None = None,
    circuit: bool = False,
    initial_models: Models | None = None,
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

    With --mechanism: score the heads by other mechanisms, or by a function of your own. With --circuit: patch the paths from
    the best previous-token heads to the best induction head. With --corpus and --site: find instead the dimensions and the
    direction that belong to each cluster of text at a site, with a linear probe and its control task.

    Args:
        model: A hub name, the folder of a saved model, or a .gguf file.
        revision: Branch, tag or commit on the hub (Pythia's checkpoints are revisions).
        gguf_file: GGUF file inside the folder or repository.
        dtype: float32, bfloat16 or float64.
        mechanism: induction (the default), previous_token, copying, duplicate_token, successor, or FILE.py:function of
            (patterns, tokens) or of (model); give it once for each.
        circuit: Also ask which heads below tell the best induction head, through its keys, where to look.
        initial_models: Freshly initialised models that a head must beat, at least 19 or 0; by default 20 for a model of
            up to 20 million parameters and none for a larger one.
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
    named = {"name": model, "revision": revision, "gguf_file": gguf_file, "dtype": dtype}
    if corpus is not None or site:
        from imprint.cli.locate_clusters import locate_clusters

        text = {"paths": corpus or (), "domain_key": domain_key, "seed": seed}
        return locate_clusters(named, text, site, dimensions, out, json=json)
    options = HeadOptions(
        mechanisms=list(dict.fromkeys(mechanism or [INDUCTION])),
        circuit=circuit,
        initial_models=initial_models,
        context=context,
        rows=rows,
        ablate=ablate,
        seed=seed,
    )
    locate_heads(named, options, out, top, json=json)
