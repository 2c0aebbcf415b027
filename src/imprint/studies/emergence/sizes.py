"""A scale as a model: its architecture, without dropout."""

from imprint.corpus.abilities import BOS, VOCABULARY
from imprint.models import Architecture
from imprint.studies.emergence.options import Scale


def architecture_of(scale: Scale, context: int) -> Architecture:
    """The model's class and sizes, without dropout."""
    neurons = scale.neurons or 2 * scale.width
    sizes: dict[str, int | float | bool | str] = {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": context,
        "hidden_size": scale.width,
        "num_hidden_layers": scale.layers,
        "num_attention_heads": scale.heads,
        "bos_token_id": BOS,
        "eos_token_id": BOS,
        "tie_word_embeddings": False,
    }
    if scale.model_type != "gpt2":
        return Architecture(model_type=scale.model_type, config=sizes | {"intermediate_size": neurons})
    still: dict[str, int | float | bool | str] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return Architecture(model_type="gpt2", config=sizes | still | {"n_inner": neurons, "initializer_range": 0.125})
