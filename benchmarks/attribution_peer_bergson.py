"""bergson's EK-FAC on the shapes of `benchmarks.attribution`; run by the Python that has it.

The steps of `bergson ekfac` are called one by one in one process. bergson reads models and data from paths: writing those
is not timed, its own loading of them is. Its one factor step is split by timing the functions inside it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from bergson.build import build_query
from bergson.config.config import (
    DataConfig,
    DistributedConfig,
    HessianConfig,
    IndexConfig,
    InversionConfig,
    PreprocessConfig,
    QuerySetConfig,
    ScoreConfig,
)
from bergson.data import load_scores
from bergson.hessians import hessian_approximations
from bergson.hessians.apply_hessian import EkfacApplicator, EkfacConfig
from bergson.score.score import score_dataset
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.attribution_shapes import Setting, setting
from benchmarks.attribution_stages import Stages, answer, bytes_under


def write_inputs(given: Setting, folder: Path) -> None:
    """The model, a toy tokenizer and the rows on disk."""
    words = {f"w{index}": index for index in range(given.model.config.vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="w0", pad_token="w0", eos_token="w1", model_max_length=2048
    )
    given.model.save_pretrained(folder / "model")
    fast.save_pretrained(folder / "model")
    for name, rows in (("train", given.train), ("query", given.queries)):
        columns = {"input_ids": rows.tolist(), "length": [rows.shape[1]] * len(rows)}
        Dataset.from_dict(columns).save_to_disk(str(folder / name))


def index(folder: Path, name: str, rows: str, tokens: int) -> IndexConfig:
    """bergson's configuration of one step: float32, biases, no unembedding."""
    return IndexConfig(
        run_path=str(folder / "runs" / name),
        model=str(folder / "model"),
        precision="fp32",
        overwrite=True,
        data=DataConfig(dataset=str(folder / rows), split="train"),
        include_bias=True,
        token_batch_size=tokens,
        filter_modules="*embed_out*,*lm_head*",
        distributed=DistributedConfig(nnode=1, nproc_per_node=1),
    )


def timed_inside(stages: Stages) -> None:
    """Time the two passes and the eigendecomposition inside bergson's one factor step."""
    collect = hessian_approximations.collect_hessians
    passes = iter(("covariance", "lambda"))

    def timed(*given: Any, **named: Any) -> Any:
        with stages.stage(next(passes)):
            return collect(*given, **named)

    hessian_approximations.collect_hessians = timed
    stages.inside(hessian_approximations, {"eigendecompose_owned": "eigh"})


def run(name: str, shape: str, scratch: Path) -> tuple[dict[str, Any], np.ndarray]:
    """EK-FAC, timed by stage."""
    given = setting(shape)
    tokens = min(2048, given.model.config.max_position_embeddings)
    write_inputs(given, scratch)
    stages, runs = Stages(), scratch / "runs"
    with stages.stage("query"):
        query = QuerySetConfig(dataset=str(scratch / "query"), split="train", aggregation="none")
        build_query(index(scratch, "query", "query", tokens), query, PreprocessConfig())
    timed_inside(stages)
    with stages.stage("reading and writing"):
        hessian = HessianConfig(method="kfac", ev_correction=True)
        hessian_approximations.approximate_hessians(index(scratch, "factors", "train", tokens), hessian)
    with stages.stage("query"):
        config = EkfacConfig(
            hessian_method_path=str(runs / "factors"), gradient_path=str(runs / "query"),
            run_path=str(runs / "transformed"), ev_correction=True, apply_batch_size=32,
        )  # fmt: skip
        EkfacApplicator(config, inversion_cfg=InversionConfig()).compute_ivhp_sharded()
    with stages.stage("score"):
        score_config = ScoreConfig(query_path=str(runs / "transformed"))
        score_dataset(index(scratch, "scores", "train", tokens), score_config, PreprocessConfig())
    facts = stages.facts() | {"factor_bytes": bytes_under(runs / "factors"), "disk_bytes": bytes_under(runs)}
    facts["query_bytes"] = bytes_under(runs / "query") + bytes_under(runs / "transformed")
    scores = np.asarray(load_scores(runs / "scores")[:], dtype=np.float32)
    return facts, scores.T if scores.shape[0] == len(given.train) else scores


if __name__ == "__main__":
    answer(run, ["ekfac"])
