"""Any Hugging Face model or tokenizer, unmodified, by name, folder, GGUF file or package; its own code is never run.

Only safetensors and GGUF weights are read: pickled weights can run code when they are opened.
"""

import copy
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from imprint.errors import ModelError
from imprint.models.families import Objective, family_of
from imprint.models.quiet import quiet

_CLASSES: Mapping[Objective, Any] = {
    "causal": AutoModelForCausalLM,
    "masked": AutoModelForMaskedLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
_DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_LOADING_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ImportError,
    SafetensorError,
)
_GGUF_NEEDS = ("gguf", "accelerate")
_PACKAGE = "package:"


def load_model(
    name: str | Path,
    *,
    revision: str | None = None,
    gguf_file: str | None = None,
    dtype: str = "float32",
    device: str = "cpu",
) -> PreTrainedModel:
    """The model at a hub name, in a local folder or in a GGUF file, in evaluation mode.

    `name` may itself be the path of a `.gguf` file, or `package:NAME/FILE` for a file or folder inside an installed
    Python package, which is found without being imported. Causal models come with their language head, BERT with its masked
    head, T5 as encoder-decoder. A GGUF model is dequantised into a plain model of its family. `ModelError` says what
    is missing or unusable and what to do: folder, config, weights (safetensors only), unknown family, own code.

    Trust: a GGUF file's weights are those after quantisation, close to but not the published ones.
    """
    place, gguf = _locate(name, gguf_file)
    options = {"revision": revision or "main", "gguf_file": gguf, "trust_remote_code": False}
    torch_dtype, torch_device = _dtype(dtype), _device(device)
    with _bars_only_for_downloads(place), _as_model_error(place):
        config = _config(place, options)
        _check_weights(place, gguf)
        loader = _CLASSES[family_of(config.model_type).objective]
        model, report = loader.from_pretrained(
            place,
            **options,
            config=config,
            dtype=torch.float32 if gguf else torch_dtype,
            use_safetensors=True,
            output_loading_info=True,
        )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(f"{place}: {len(missing)} weights are missing (first: {missing[0]}); the file is incomplete.")
    ready: Any = _plain(model) if gguf else model
    ready.to(torch_dtype)
    _own_memory(ready)
    return cast(PreTrainedModel, ready.to(torch_device).eval())


def load_tokenizer(
    name: str | Path, *, revision: str | None = None, gguf_file: str | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a hub name, a local folder, a GGUF file (also given directly as `name`) or a package's file."""
    place, gguf = _locate(name, gguf_file)
    options = {"revision": revision or "main", "gguf_file": gguf, "trust_remote_code": False}
    with _bars_only_for_downloads(place), _as_model_error(place):
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
    if len(tokenizer) < 2:
        # transformers builds a one-token tokenizer, without a word, from files that it does not understand.
        raise ModelError(f"{place}: the tokenizer has {len(tokenizer)} tokens; its files are incomplete or unreadable.")
    return tokenizer


def _locate(name: str | Path, gguf_file: str | None) -> tuple[str, str | None]:
    """Split off a GGUF file from its folder and check that local things exist; hub names pass through."""
    if isinstance(name, str) and name.startswith(_PACKAGE):
        name = _in_package(name)
    path = Path(name).expanduser()
    if gguf_file is None and path.suffix == ".gguf":
        path, gguf_file = path.parent, path.name
    elif not path.exists() and not _looks_local(name):
        return str(name), _checked_gguf(gguf_file)
    if not path.is_dir():
        raise ModelError(f"{path}: no such folder; give the folder of a saved model, a .gguf file or a hub name.")
    if gguf_file is not None and not (path / gguf_file).is_file():
        raise ModelError(f"{path / gguf_file}: no such GGUF file; the folder holds {_listing(path)}.")
    return str(path), _checked_gguf(gguf_file)


def _in_package(address: str) -> Path:
    """Where a file of an installed package lies; `ModelError` if the package or the file is not there."""
    package, _, file = address.removeprefix(_PACKAGE).partition("/")
    if not package.isidentifier() or not file:
        raise ModelError(f"{address}: write {_PACKAGE}NAME/FILE, the import name of a package and a file inside it.")
    found = importlib.util.find_spec(package)
    roots = list(found.submodule_search_locations or ()) if found is not None else []
    if not roots:
        raise ModelError(f"{address}: no Python package '{package}' is installed; install it, or give a path.")
    path = next((Path(root, file) for root in roots if Path(root, file).exists()), None)
    if path is None:
        raise ModelError(f"{address}: package '{package}' has no {file}; it holds {_listing(Path(roots[0]))}.")
    return path


def _looks_local(name: str | Path) -> bool:
    text = str(name)
    return isinstance(name, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1


def _listing(folder: Path) -> str:
    names = sorted(child.name for child in folder.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _checked_gguf(gguf_file: str | None) -> str | None:
    absent = [package for package in _GGUF_NEEDS if gguf_file and importlib.util.find_spec(package) is None]
    if absent:
        raise ModelError(f"Reading {gguf_file} needs {' and '.join(absent)}; install imprint with its gguf extra.")
    return gguf_file


def _dtype(name: str) -> torch.dtype:
    if name not in _DTYPES:
        raise ModelError(f"dtype '{name}' is not one of {', '.join(_DTYPES)}.")
    return _DTYPES[name]


def _device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device '{name}' cannot be used on this machine: {_first_line(error)}") from error


def _config(place: str, options: Mapping[str, Any]) -> PreTrainedConfig:
    """The config, once it is sure that transformers' own classes are meant and that only safetensors will be read."""
    folder = Path(place)
    if folder.is_dir() and options["gguf_file"] is None and not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json; the folder holds {_listing(folder)}. Was a model saved there?")
    raw, _ = PreTrainedConfig.get_config_dict(place, **options)
    config_class = CONFIG_MAPPING[family_of(str(raw.get("model_type"))).model_type]
    _refuse_own_code(place, raw, {one.__name__ for one in (config_class, *_native_classes(config_class))})
    named = raw.get("transformers_weights")
    if named is not None and not str(named).endswith((".safetensors", ".safetensors.index.json")):
        raise ModelError(f"{place}: config.json asks for weights in '{named}'; only safetensors files are read.")
    return config_class.from_dict(raw)


def _native_classes(config_class: type[PreTrainedConfig]) -> list[type]:
    mappings = (loader._model_mapping for loader in _CLASSES.values())
    return [mapping[config_class] for mapping in mappings if config_class in mapping]


def _refuse_own_code(place: str, raw: Mapping[str, Any], native: set[str]) -> None:
    """Refuse a config whose `auto_map` names classes that transformers does not itself ship for this type."""
    loaders = {"AutoConfig", *(loader.__name__ for loader in _CLASSES.values())}
    asked = {key: str(target) for key, target in (raw.get("auto_map") or {}).items() if key in loaders}
    foreign = sorted(target for target in asked.values() if target.rsplit(".", 1)[-1] not in native)
    if foreign:
        raise ModelError(
            f"{place}: this model needs its own code ({', '.join(foreign)}), which imprint never runs; "
            f"use a version of it that transformers supports itself."
        )


def _check_weights(place: str, gguf_file: str | None) -> None:
    folder = Path(place)
    if not folder.is_dir() or gguf_file is not None or any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickled:
        raise ModelError(
            f"{folder}: only pickled weights ({pickled[0]}), which can run code when opened; convert them once where "
            f"you trust them: AutoModel.from_pretrained(folder).save_pretrained(new_folder)."
        )
    raise ModelError(f"{folder}: no *.safetensors weights; the folder holds {_listing(folder)}.")


def _plain(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a model that does not remember having been quantised (it could not be saved or trained)."""
    config = copy.deepcopy(model.config)
    del config.quantization_config
    plain: Any = type(model)(config)
    plain = plain.to(model.dtype)
    plain.load_state_dict(model.state_dict())
    return cast(PreTrainedModel, plain)


def _own_memory(model: PreTrainedModel) -> None:
    """Move the weights out of the memory-mapped file into aligned memory of their own.

    Where a tensor lies in a file decides its alignment, and that the last bit of a matrix product: a model read back
    would not repeat the logits of the model that was saved.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()


@contextmanager
def _as_model_error(place: str) -> Iterator[None]:
    """Turn the many exceptions of transformers' loaders into one sentence; nothing is swallowed."""
    try:
        yield
    except ModelError:
        raise
    except _LOADING_ERRORS as error:
        raise ModelError(f"{place}: cannot be loaded: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _bars_only_for_downloads(place: str) -> AbstractContextManager[None]:
    """Hide transformers' progress bars while a local model is read; a download keeps its own."""
    return quiet() if Path(place).is_dir() else nullcontext()
