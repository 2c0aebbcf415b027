"""The OV circuit of heads: what each would write on the logits if it read one position only, along the direct path."""

from collections.abc import Iterator
from contextlib import ExitStack

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.errors import ModelError
from imprint.models import Anatomy, Hook, check_context, evaluating, hooked
from imprint.models.unembedding import plain_head

_NORMS_WHAT_ATTENTION_WRITES = ("olmo2",)


def ov_logits(
    model: PreTrainedModel, tokens: Int[Tensor, "row seq"], candidates: Int[Tensor, "row candidate"]
) -> Iterator[Float[Tensor, "head row seq candidate"]]:
    """Layer by layer, the logits that each head adds to some candidate tokens when it reads one position of the sequence.

    The position's value is that of the real run (all lower layers and norms included); it passes the head's
    out-projection and the unembedding. Logits are less their mean over the whole vocabulary, which no probability sees,
    and in units of the final norm's scale, which is one positive number a position and cancels in `raised_share`.

    Raises:
        ContextTooLong: the rows do not fit the model.
        ModelError: not a causal model, one that changes its logits, or one that normalises what attention writes (OLMo-2).

    Trust: the direct path alone; what later heads and MLPs make of the output is not in it.
    """
    anatomy = Anatomy(model)
    directions = readout(model, candidates)
    for layer, values in enumerate(_values(model, tokens)):
        heads = []
        for head in range(anatomy.num_heads):
            slices = anatomy.head_slices(f"L{layer}.H{head}")
            out = slices["o"].matrix(model.get_parameter(slices["o"].name).detach())
            written = values[..., slices["v"].index.to(values.device)].to(directions) @ out.T.to(directions)
            heads.append(_products(written, directions).cpu())
        yield torch.stack(heads)


def raised_share(logits: Float[Tensor, "*batch candidate"]) -> Float[Tensor, "*batch candidate"]:
    """For each candidate, its share of all that is raised less its share of all that is lowered, in [-1, 1].

    1 = the only candidate raised, -1 = the only one lowered, and 0 on average over candidates chosen at random, whatever the
    head. A positive factor changes nothing, a negative one the sign. A head that writes nothing scores 0.
    """
    return _share(logits.relu()) - _share((-logits).relu())


def has_direct_path(model: PreTrainedModel) -> bool:
    """Whether what a head writes reaches the logits along a path that is linear up to one norm, as OV scores need."""
    return plain_head(model) is not None and model.config.model_type not in _NORMS_WHAT_ATTENTION_WRITES


def readout(model: PreTrainedModel, candidates: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
    """The direction of the residual stream that raises each candidate's logit above the mean of the vocabulary.

    The final norm's gain, and its centring where it has one, are part of it; its scale is not.
    """
    head = plain_head(model)
    if head is None or model.config.model_type in _NORMS_WHAT_ATTENTION_WRITES:
        raise ModelError(
            f"The direct path of a model of type '{model.config.model_type}' from a head to the logits is not linear up to "
            "one norm, so OV scores are not defined; use an attention score or path patching."
        )
    weight = head.weight.detach()
    wide = torch.promote_types(weight.dtype, torch.float32)
    chosen = weight[candidates.to(weight.device)].to(wide) - weight.mean(0, dtype=wide)
    return before_norm(Anatomy(model).final_norm(), chosen)


def before_norm(norm: nn.Module, directions: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """What must be read before a norm to read `directions` behind it, up to its scale: gain, then centring if it centres."""
    scaled = directions * _gain(norm, directions)
    return scaled - scaled.mean(-1, keepdim=True) if centres(norm, directions.shape[-1]) else scaled


def behind_norm(norm: nn.Module, states: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """What a norm makes of states, up to its scale and without its bias: centring if it centres, then gain."""
    centred = states - states.mean(-1, keepdim=True) if centres(norm, states.shape[-1]) else states
    return centred * _gain(norm, states)


@torch.no_grad()
def centres(norm: nn.Module, width: int) -> bool:
    """Whether a norm takes the mean out (LayerNorm does, RMSNorm and no norm at all do not)."""
    gain = _gain(norm, torch.ones(1))
    probe = torch.arange(width, dtype=torch.float32).sin().to(gain)[None]
    scale = (norm(probe) - norm(-probe)).abs().max()
    return bool((norm(probe + 1) - norm(probe)).abs().max() < 0.05 * scale)


def _gain(norm: nn.Module, like: Tensor) -> Tensor:
    weight = getattr(norm, "weight", None)
    return torch.ones_like(like[..., :1]) if weight is None else weight.detach()


@torch.no_grad()
def attention_norm(model: PreTrainedModel, layer: int) -> nn.Module:
    """The norm whose output a layer's attention reads, found by running one token through the model.

    Raises:
        ModelError: the attention reads something that no module of its block put out.
    """
    anatomy = Anatomy(model)
    made: list[tuple[nn.Module, Tensor]] = []
    read: list[Tensor] = []

    def kept(module: nn.Module) -> Hook:
        return module, "post", lambda tensor: made.append((module, tensor))

    hooks = [kept(part) for part in anatomy.block(layer).modules() if not list(part.children())]
    token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    with ExitStack() as stack:
        stack.enter_context(hooked(model, [*hooks, (anatomy.projection("v", layer), "pre", read.append)]))
        stack.enter_context(evaluating(model))
        model.base_model(input_ids=token, use_cache=False)
    for module, tensor in made:
        if tensor is read[0]:
            return module
    raise ModelError(
        f"No norm of layer {layer} feeds its attention in a model of type '{model.config.model_type}', so its weights cannot "
        "be folded; use a score on sequences."
    )


@torch.no_grad()
def _values(model: PreTrainedModel, tokens: Int[Tensor, "row seq"]) -> list[Float[Tensor, "row seq outputs"]]:
    """What each layer's value projection puts out."""
    check_context(model, tokens.shape[1])
    anatomy, kept = Anatomy(model), dict[int, Tensor]()

    def reading(layer: int) -> Hook:
        return anatomy.projection("v", layer), "post", lambda tensor: kept.__setitem__(layer, tensor.detach().clone())

    with evaluating(model), hooked(model, [reading(layer) for layer in range(anatomy.num_layers)]):
        model.base_model(input_ids=tokens.to(model.device), use_cache=False)
    return [kept[layer] for layer in range(anatomy.num_layers)]


def _products(
    written: Float[Tensor, "row seq d"], directions: Float[Tensor, "row candidate d"]
) -> Float[Tensor, "row seq candidate"]:
    """Inner products, with those that are nothing but rounding set to zero: a share would make much of them."""
    products = torch.einsum("rsd,rcd->rsc", written, directions)
    sizes = written.norm(dim=-1)[..., None] * directions.norm(dim=-1)[:, None]
    rounding = torch.finfo(products.dtype).eps * written.shape[-1] * sizes
    return torch.where(products.abs() > rounding, products, 0.0)


def _share(amounts: Float[Tensor, "*batch candidate"]) -> Float[Tensor, "*batch candidate"]:
    total = amounts.sum(-1, keepdim=True)
    return torch.where(total > 0, amounts / total, torch.zeros_like(amounts))
