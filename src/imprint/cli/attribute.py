"""`imprint attribute MODEL --data corpus`: influence of documents on a head's probes, or on the likelihood of texts."""

from contextlib import nullcontext
from pathlib import Path
from typing import Literal

from imprint.cli.arguments import Context, Count, Damping, Rows
from imprint.cli.executors import ExecutorName, chosen_executor
from imprint.cli.output import output_folder
from imprint.errors import ConfigError


def attribute(
    model: str,
    /,
    *,
    data: list[Path],
    head: str | None = None,
    queries: list[Path] | None = None,
    layers: list[int] | None = None,
    split: Literal["module", "head"] = "module",
    embedding: bool = False,
    tokens: bool = False,
    mechanism: Literal["induction", "previous_token"] = "induction",
    parts: Literal["qkvo", "qk", "vo"] = "qkvo",
    context: Context = 64,
    text_key: str = "text",
    domain_key: str | None = None,
    factor_rows: Rows = 2000,
    damping: Damping = 0.1,
    damping_sweep: list[float] | None = None,
    precision: Literal["model", "float32", "bfloat16"] = "model",
    memory: str = "4GB",
    seed: int = 0,
    top: Count = 15,
    top_only: Count | None = None,
    checkpoints: list[Path] | None = None,
    executor: ExecutorName = "local",
    address: str | None = None,
    processes: Count = 1,
    out: Path = Path("imprint-attribution"),
    json: bool = False,
) -> None:
    """EK-FAC influence of every document on one head, or on the likelihood of texts, with self-checks.

    Without `--queries`: influence of every document (and token) on the probes of `--head`, beside all cheap baselines.
    With `--queries`: influence on the log-likelihood of each query text through the whole model, some layers, or a head.
    Positive = training on the document raises the probe or the likelihood. The folder keeps scores.parquet (a row per
    text row) and its store; the same command serves them again without computing and goes on where it was killed.

    Args:
        model: The folder of a saved causal model with its tokenizer (a checkpoint inside the transition works best), a hub
            name, a .gguf file, or package:NAME/FILE.
        data: Text files, JSONL files or folders.
        head: The head, such as L1.H2; `imprint locate` finds it.
        queries: Text or JSONL files whose texts are asked about, one query a row.
        layers: With queries: only these layers.
        split: With queries: scores split by module, or by attention head (then heads only).
        embedding: With queries: the token embedding too.
        tokens: With queries: a score of every token, in place of the split.
        mechanism: Without queries: the probes, the three of an induction head or attention to the previous token.
        parts: Without queries: which of the head's matrices, qkvo, qk or vo.
        context: Tokens a row; long documents give several rows.
        text_key: Key of the text in JSONL.
        domain_key: Key of the domain in JSONL; by default the file's or folder's name.
        factor_rows: Rows that the curvature is fitted on.
        damping: Added to the eigenvalues, in units of their mean.
        damping_sweep: Other dampings, whose ranking is compared with that one (Spearman, beside the self-checks).
        precision: Of the passes over the rows: the model's own, float32, or bfloat16 (several times faster).
        memory: With queries: how much may be used beyond the model, such as 4GB.
        seed: Seed of sampled labels and random probes.
        top: How many rows to show.
        top_only: Without queries: keep only so many rows at each end of each probe and read the corpus in chunks, so that
            it may have millions of rows; a killed run goes on after its last chunk.
        checkpoints: Without queries: more checkpoints of the same model; says how far probes and checkpoints agree, and
            ranks rows by their mean rank.
        executor: Without queries: "local": processes of this machine; "ray": a Ray cluster (`pip install 'imprint[ray]'`).
        address: HOST:PORT of a running Ray cluster that shares the output folder; by default one is started here.
        processes: Without queries: how many shards of rows to score at a time; the scores are the same.
        out: Folder for the results.
        json: Print the top rows as JSON and nothing else.
    """
    from imprint.cli.attribute_head import attribute_one_head
    from imprint.cli.attribute_stream import attribute_stream
    from imprint.cli.attribute_texts import attribute_texts
    from imprint.cli.attribute_window import attribute_window
    from imprint.corpus import FileCorpus, PackedCorpus

    def packing(paths: list[Path]) -> PackedCorpus:
        corpus = FileCorpus(paths=tuple(paths), text_key=text_key, domain_key=domain_key)
        return PackedCorpus(corpus=corpus, context=context, tokenizer=place)

    sweep = tuple(damping_sweep or ())
    if any(not 0 <= value < float("inf") for value in sweep):
        raise ConfigError(f"--damping-sweep has {sweep}; give numbers from 0 up")
    options = {
        "max_rows": factor_rows,
        "damping_relative": damping,
        "damping_sweep": sweep,
        "precision": precision,
    }
    if queries is None and head is None:
        raise ConfigError("nothing was asked about: give --head L1.H2 for a mechanism, or --queries FILE for texts")
    _check_several(queries, mechanism, top_only, checkpoints)
    spread = executor != "local" or address is not None or processes > 1
    if spread and (queries is not None or top_only or checkpoints):
        raise ConfigError("--executor, --address and --processes spread the shards of --head; leave them out here")
    folder = output_folder(out)
    place = _place(model, folder)
    if queries is None:
        assert head is not None
        _check_idle(layers=layers, split=split != "module", embedding=embedding, tokens=tokens)
        asked = packing(data), head
        if top_only is not None:
            attribute_stream(place, *asked, mechanism, parts, options, seed, top_only, top, folder, json=json)
        elif checkpoints:
            attribute_window([place, *checkpoints], *asked, parts, options, seed, top, folder, json=json)
        else:
            with chosen_executor(executor, address, processes) if spread else nullcontext() as chosen:
                attribute_one_head(
                    place, *asked, mechanism, parts, options, seed, top, folder, executor=chosen, json=json
                )
        return
    if mechanism != "induction" or parts != "qkvo":
        raise ConfigError("--mechanism and --parts choose a head's probes; leave them out with --queries")
    attribute_texts(
        place,
        packing(data),
        packing(queries),
        options,
        layers=None if layers is None else tuple(layers),
        head=head,
        split=split,
        embedding=embedding,
        by_token=tokens,
        memory=memory,
        seed=seed,
        top=top,
        folder=folder,
        json=json,
    )


def _check_idle(**given: object) -> None:
    """Refuse options of queries where there are none."""
    if idle := [name for name, value in given.items() if value]:
        raise ConfigError(f"--{idle[0]} belongs to --queries; leave it out with a head's probes")


def _check_several(
    queries: list[Path] | None, mechanism: str, top_only: int | None, checkpoints: list[Path] | None
) -> None:
    """Refuse options for many rows or many checkpoints beside what they cannot go with."""
    if queries is not None and (top_only or checkpoints):
        raise ConfigError("--top-only and --checkpoints belong to a head's probes; leave them out with --queries")
    if top_only and checkpoints:
        raise ConfigError("--checkpoints compares the ranks of all rows, which --top-only does not keep; choose one")
    if checkpoints and mechanism != "induction":
        raise ConfigError("--checkpoints compares the probes of an induction head; leave --mechanism out")
    if missing := [path for path in checkpoints or () if not path.is_dir()]:
        raise ConfigError(f"--checkpoints: there is no folder '{missing[0]}'; give folders of saved checkpoints")


def _place(model: str, folder: Path) -> Path:
    """The folder of a saved model: the user's own, or a copy in the store of what has another address."""
    from imprint.models.imported import WEIGHTS_FOLDER, ImportedModel
    from imprint.runs import Store

    if Path(model).is_dir():
        return Path(model)
    return Store(folder / "store").get(ImportedModel.of(model, dtype="float32")) / WEIGHTS_FOLDER
