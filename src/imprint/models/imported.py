"""A model from anywhere as a content-addressed step: plain safetensors and its tokenizer, ready to open again fast."""

from pathlib import Path

import torch
from pydantic import Field
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from imprint.errors import ModelError
from imprint.models.families import Objective, family_of
from imprint.models.loading import load_model, load_tokenizer
from imprint.models.quiet import quiet
from imprint.runs import Context, Step, read_json

WEIGHTS_FOLDER = "model"


class ImportedModel(Step):
    """A copy of a hub model, a saved folder or a GGUF file in one dtype, with its tokenizer if it has one.

    `file` counts by its content; `source` (a hub name with a revision, or package:NAME/FILE) counts as it is written.
    """

    source: str = ""
    file: Path | None = None
    """A saved model's folder or a .gguf file."""
    revision: str | None = None
    gguf_file: str | None = None
    dtype: str = Field(default="float32")

    @staticmethod
    def of(name: str, *, revision: str | None = None, gguf_file: str | None = None, dtype: str) -> "ImportedModel":
        """The step for what a user calls a model: an existing path is a file, all else a name."""
        path = Path(name).expanduser()
        options = {"revision": revision, "gguf_file": gguf_file, "dtype": dtype}
        place = {"file": path} if path.exists() else {"source": name}
        return ImportedModel.model_validate({**place, **options})

    def execute(self, folder: Path, context: Context) -> None:
        """Load, and save as safetensors in the asked dtype."""
        torch.set_num_threads(1)
        source = self.source if self.file is None else str(self.file)
        model = load_model(source, revision=self.revision, gguf_file=self.gguf_file, dtype=self.dtype)
        with quiet():
            model.save_pretrained(folder / WEIGHTS_FOLDER)
        try:
            tokenizer = load_tokenizer(source, revision=self.revision, gguf_file=self.gguf_file)
        except ModelError as error:
            return context.warn(f"no tokenizer was found: {error}")
        tokenizer.save_pretrained(folder / WEIGHTS_FOLDER)


def objective_of(folder: Path) -> Objective:
    """How the model of a finished `ImportedModel` was trained: causal, masked or seq2seq."""
    return family_of(str(read_json(folder / WEIGHTS_FOLDER / "config.json")["model_type"])).objective


def open_imported(folder: Path, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a finished `ImportedModel`.

    Raises:
        ModelError: the model came without a tokenizer, so text cannot be given to it.
    """
    weights = folder / WEIGHTS_FOLDER
    if not any(weights.glob("tokenizer*")):
        raise ModelError(
            "the model came without a tokenizer, so no text can be given to it; save its tokenizer into the model's folder"
        )
    return load_model(weights, dtype=dtype), load_tokenizer(weights)
