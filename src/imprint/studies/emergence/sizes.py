"""A scale as a model: its architecture, without dropout."""

from imprint.corpus.abilities import BOS, VOCABULARY
from imprint.models import Architecture
from imprint.studies.ability_training import abilities_architecture
from imprint.studies.emergence.options import Scale


def architecture_of(scale: Scale, context: int) -> Architecture:
    """The model's class and sizes, without dropout."""
    neurons = scale.neurons or 2 * scale.width
    if scale.model_type == "gpt2":
        return abilities_architecture(
            width=scale.width, layers=scale.layers, heads=scale.heads, neurons=neurons, context=context
        )
    sizes: dict[str, int | float | bool | str] = {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": context,
        "hidden_size": scale.width,
        "intermediate_size": neurons,
        "num_hidden_layers": scale.layers,
        "num_attention_heads": scale.heads,
        "bos_token_id": BOS,
        "eos_token_id": BOS,
        "tie_word_embeddings": False,
    }
    return Architecture(model_type=scale.model_type, config=sizes)
