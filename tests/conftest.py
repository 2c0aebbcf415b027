"""Shape checking by jaxtyping and beartype in every test; no network; one thread."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

hook = install_import_hook("imprint", "beartype.beartype")

import torch  # noqa: E402

torch.set_num_threads(1)
