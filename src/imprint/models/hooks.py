"""Reading and editing activations: hooks that touch the model only while their `with` block lasts.

Decoder blocks return a Tensor in some families and a tuple in others, all attention modules a tuple, and some models
go on to write into what a module returned. All of that is dealt with here, once: a hook sees one Tensor (the first
output, or the first input), gives back another one or None, and never writes into what it was given.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedConfig, PreTrainedModel

from imprint.errors import ComponentNotFound, ConfigError, InterventionNeverFired, ModelError
from imprint.models.batches import on_model
from imprint.models.components import Anatomy, Component, check_context

Edge = Literal["pre", "post"]
HookFunction = Callable[[Tensor], Tensor | None]
Hook = tuple[nn.Module, Edge, HookFunction]
AblationMode = Literal["zero", "mean"]


@contextmanager
def hooked(model: nn.Module, hooks: Sequence[Hook]) -> Iterator[None]:
    """Run `fn` on the first input ("pre") or the first output ("post") of each module while the block lasts.

    `fn(tensor)` returns a new tensor to put in its place, or None to leave it. Hooks run in the order given. Exactly
    these hooks are removed at the end, also after an exception; other people's hooks stay. `ModelError` if a module is
    not part of `model`, or if `fn` writes into its argument instead of returning a new tensor.
    """
    members = set(model.modules())
    strangers = [type(module).__name__ for module, _, _ in hooks if module not in members]
    if strangers:
        raise ModelError(f"The modules {strangers} are not part of this {type(model).__name__}; hook its own modules.")
    with ExitStack() as handles:
        for module, edge, fn in hooks:
            handles.callback(_attach(module, edge, fn).remove)
        yield


def _attach(module: nn.Module, edge: Edge, fn: HookFunction) -> RemovableHandle:
    if edge == "post":
        return module.register_forward_hook(lambda _, __, output: _edit_output(fn, output))
    return module.register_forward_pre_hook(lambda _, args, kwargs: _edit_input(fn, args, kwargs), with_kwargs=True)


def _edit_output(fn: HookFunction, output: Any) -> Any:
    if isinstance(output, Tensor):
        return _apply(fn, output)
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return (_apply(fn, output[0]), *output[1:])
    raise ModelError(f"A module returned {type(output).__name__}; only a Tensor or a tuple that starts with one fits.")


def _edit_input(fn: HookFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    if args and isinstance(args[0], Tensor):
        return (_apply(fn, args[0]), *args[1:]), kwargs
    for name, value in kwargs.items():
        if isinstance(value, Tensor):
            return args, {**kwargs, name: _apply(fn, value)}
    raise ModelError("A module was called without a Tensor, so there is nothing to read or edit at its input.")


def _apply(fn: HookFunction, tensor: Tensor) -> Tensor:
    before = _version(tensor)
    result = fn(tensor)
    if _version(tensor) != before:
        raise ModelError("A hook wrote into its argument in place; return a new tensor instead.")
    return tensor if result is None else result


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def record(model: PreTrainedModel, sites: Sequence[str | Component]) -> Iterator[dict[str, Tensor]]:
    """Collect activations of the forward passes inside the block, by address: `states["L3.resid_post"]`.

    Shapes: "L3.H5" (batch seq d_head); "L3.z" (batch seq heads*d_head); "L3.neurons" (batch seq d_mlp); "L3.pattern"
    (batch head seq seq); "L3.attn", "L3.mlp", "L3.resid_pre", "L3.resid_post", "embed" (batch seq d_model). Values
    are detached copies of the latest forward pass. Patterns need eager attention (`with eager_attention(model)`),
    `ModelError` otherwise;
    `InterventionNeverFired` if the block ends and a site was never reached.

    Trust: residual streams are read at the blocks, so the last one is before the final norm (transformers' own
    `output_hidden_states` gives it after). In BERT a block ends with a norm, and OLMo-2 normalises "attn" and "mlp"
    before it adds them.
    """
    anatomy = Anatomy(model)
    components = [anatomy.find(site) for site in sites]
    states: dict[str, Tensor] = {}
    patterns = [component for component in components if component.site == "pattern"]
    taps = [_tap(anatomy, component, states) for component in components if component.site != "pattern"]
    with hooked(model, taps), _patterns_recorded(anatomy, patterns, states):
        yield states
    unreached = [str(component) for component in components if str(component) not in states]
    if unreached:
        raise InterventionNeverFired(f"Nothing was recorded at {', '.join(unreached)}: no forward pass went through.")


def _tap(anatomy: Anatomy, component: Component, states: dict[str, Tensor]) -> Hook:
    module, edge = place(anatomy, component)
    columns = anatomy.head_columns(component) if component.site == "head" else slice(None)

    def keep(tensor: Tensor) -> None:
        # Falcon adds into the MLP's output in place after we have seen it, so a reference would change under us.
        states[str(component)] = tensor[..., columns].detach().clone()

    return module, edge, keep


def place(anatomy: Anatomy, component: Component) -> tuple[nn.Module, Edge]:
    """The module at whose first input ("pre") or first output ("post") a component's activations pass.

    A head shares the place of its layer's z. `ComponentNotFound` for a pattern, which no module passes on by itself.
    """
    layer, stack, cross = component.layer, component.stack, component.cross
    if layer is None:
        return anatomy.embedding(stack), "post"
    if component.site in ("head", "z"):
        return anatomy.out_projection(layer, stack, cross=cross), "pre"
    if component.site == "attn":
        return anatomy.out_projection(layer, stack, cross=cross), "post"
    if component.site == "mlp":
        return anatomy.mlp(layer, stack), "post"
    if component.site == "neurons":
        return anatomy.down_projection(layer, stack), "pre"
    if component.site == "pattern":
        raise ComponentNotFound(f"'{component}' can be read but not edited; edit {replace(component, site='z')}.")
    return anatomy.block(layer, stack), "pre" if component.site == "resid_pre" else "post"


@contextmanager
def _patterns_recorded(anatomy: Anatomy, components: Sequence[Component], states: dict[str, Tensor]) -> Iterator[None]:
    """Read the last output of attention modules, which `hooked` (first output only) does not show."""
    with ExitStack() as handles:
        for component in components:
            assert component.layer is not None
            module = anatomy.attention(component.layer, component.stack, cross=component.cross)
            handles.callback(module.register_forward_hook(_pattern_hook(str(component), states)).remove)
        yield


def _pattern_hook(address: str, states: dict[str, Tensor]) -> Callable[[nn.Module, Any, Any], None]:
    def keep(_: nn.Module, __: Any, output: Any) -> None:
        if not isinstance(output[-1], Tensor):
            raise ModelError(
                f"There is no attention pattern at {address}: the fused attention in use does not return one; "
                f"run the model inside `with eager_attention(model)`."
            )
        states[address] = output[-1].detach().clone()

    return keep


@contextmanager
def eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """Use plain attention, which returns its pattern, while the block lasts; then the previous kind again.

    Logits agree with the fused kinds up to rounding (1e-6 relative in float32). `ModelError` for Falcon with ALiBi
    (Falcon-RW), whose plain attention in transformers 5 adds the position bias twice and so is another model.
    """
    if model.config.model_type == "falcon" and model.config.alibi:
        raise ModelError(
            "Falcon with ALiBi has no usable plain attention (transformers adds its position bias twice), so its "
            "patterns cannot be read; ablate or patch its heads instead, or choose a Falcon with rotary positions."
        )
    # `set_attn_implementation` refuses Falcon, and T5's towers hold copies of the config: set each config by itself.
    owned = (getattr(module, "config", None) for module in model.modules())
    configs = {id(config): config for config in owned if isinstance(config, PreTrainedConfig)}
    previous = [(config, config._attn_implementation) for config in configs.values()]
    try:
        for config in configs.values():
            config._attn_implementation = "eager"
        yield
    finally:
        for config, implementation in previous:
            config._attn_implementation = implementation


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off while the block lasts, then give every module its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def attention_patterns(
    model: PreTrainedModel,
    input_ids: Int[Tensor, "batch seq"],
    attention_mask: Int[Tensor, "batch seq"] | Bool[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, "layer batch head seq seq"]:
    """The attention weights of all heads; [..., t, j] = how much position t reads from position j (rows sum to 1).

    On the model's device, wherever the tokens are. Runs one forward pass without the unembedding, with eager attention and
    without dropout, and leaves the model as it was. Encoder-decoder models take two inputs: use
    `record(model, ["decoder.L0.cross.pattern"])` for them.
    """
    anatomy = Anatomy(model)
    if anatomy.family.objective == "seq2seq":
        raise ModelError("An encoder-decoder model has three kinds of pattern; record encoder.L0.pattern and its like.")
    check_context(model, input_ids.shape[1])
    sites = [f"L{layer}.pattern" for layer in range(anatomy.num_layers)]
    with evaluating(model), eager_attention(model), record(model, sites) as states:
        model.base_model(**on_model(model, {"input_ids": input_ids, "attention_mask": attention_mask}))
    return torch.stack([states[site] for site in sites])


@dataclass(slots=True)
class Ablation:
    """What an ablation did so far: forward passes through each edited module, and how many numbers really changed."""

    fires: dict[str, int] = field(default_factory=dict)
    _changed: dict[str, Tensor] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """Elements of z that differ from what they were (0 if the heads were silent already)."""
        return sum(int(count) for count in self._changed.values())

    def _count(self, address: str, changed: Tensor) -> None:
        # Kept as tensors: reading a number from a GPU at every pass would stall it.
        self.fires[address] += 1
        self._changed[address] = self._changed.get(address, torch.zeros_like(changed)) + changed


@contextmanager
def ablate_heads(
    model: PreTrainedModel,
    components: Sequence[str | Component],
    *,
    mode: AblationMode = "zero",
    mean: Mapping[str, Tensor] | None = None,
) -> Iterator[Ablation]:
    """Replace the output z of heads by zero or by a mean, in every row and position, while the block lasts.

    z is the input of the out-projection, so this is exactly the model without those heads. `mean` (from `head_means`)
    maps the head's address to a tensor that broadcasts to (batch seq d_head), for instance (d_head). The model's
    parameters, `requires_grad` and training mode stay. `InterventionNeverFired` if the block ends without an error and
    a head's layer was never run.

    Trust: zero is off-distribution and can break a model for reasons that have nothing to do with the head; prefer
    the mean over a reference corpus, and compare with as many random heads.
    """
    anatomy = Anatomy(model)
    heads = [anatomy.find(component) for component in components]
    ablation = Ablation(fires={str(head): 0 for head in heads})
    if not heads:
        raise ConfigError("No heads were given to ablate; name at least one, for example L0.H0.")
    with hooked(model, [_removal(anatomy, head, _fill(head, mode, mean), ablation) for head in heads]):
        yield ablation
    silent = [address for address, fires in ablation.fires.items() if fires == 0]
    if silent:
        raise InterventionNeverFired(f"The ablation of {', '.join(silent)} never ran: no forward pass went through.")


def _fill(head: Component, mode: AblationMode, mean: Mapping[str, Tensor] | None) -> Tensor:
    if mode == "zero":
        return torch.zeros(())
    if mean is None or str(head) not in mean:
        raise ConfigError(f"Mean ablation of {head} needs its mean; pass mean=head_means(model, heads, batches).")
    return mean[str(head)]


def _removal(anatomy: Anatomy, head: Component, fill: Tensor, ablation: Ablation) -> Hook:
    columns = anatomy.head_columns(head)
    assert head.layer is not None
    module = anatomy.out_projection(head.layer, head.stack, cross=head.cross)

    def remove(z: Tensor) -> Tensor:
        replacement = fill.to(z).expand_as(z[..., columns])
        edited = torch.cat([z[..., : columns.start], replacement, z[..., columns.stop :]], dim=-1)
        ablation._count(str(head), (edited.detach() != z.detach()).sum())
        return edited

    return module, "pre", remove


@torch.no_grad()
def head_means(
    model: PreTrainedModel, components: Sequence[str | Component], batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """The mean of z of each head over all tokens of reference batches: address -> (d_head), float64 on the CPU.

    A batch holds the keyword arguments of the model's forward pass. Tokens masked out by `attention_mask`
    (`decoder_attention_mask` for a decoder's heads) do not count. Runs without dropout.
    """
    anatomy = Anatomy(model)
    heads = [anatomy.find(component) for component in components]
    totals = {str(head): torch.zeros(anatomy.d_head, dtype=torch.float64) for head in heads}
    counts = dict.fromkeys(totals, 0.0)
    with evaluating(model):
        for batch in batches:
            with record(model, heads) as states:
                model(**on_model(model, batch))
            for head in heads:
                z = states[str(head)].double()
                weight = _token_weights(head, batch, z)
                totals[str(head)] += torch.einsum("bsd,bs->d", z, weight).cpu()
                counts[str(head)] += float(weight.sum())
    if not counts or min(counts.values()) == 0:
        raise ConfigError("The mean of a head needs at least one token; the reference batches hold none.")
    return {address: total / counts[address] for address, total in totals.items()}


def _token_weights(head: Component, batch: Mapping[str, Tensor], z: Tensor) -> Float[Tensor, "batch seq"]:
    mask = batch.get("decoder_attention_mask" if head.stack == "decoder" else "attention_mask")
    return z.new_ones(z.shape[:2]) if mask is None else mask.to(z)
