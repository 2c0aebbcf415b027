import pytest
import torch
from tiny_families import EVERY, inputs, logits, tiny

from imprint.errors import ConfigError
from imprint.interventions.activations import Intervention, Noise, Zero, intervene, last_tokens, sweep
from imprint.models import Anatomy


def variants_of(name):
    prefix = "decoder." if name == "t5" else ""
    both = [
        Intervention(site=f"{prefix}L0.H1", edit=Zero()),
        Intervention(site=f"{prefix}L1.mlp", edit=Zero(), dose=0.5),
    ]
    doses = {
        f"{tail} {dose}": [Intervention(site=f"{prefix}{tail}", edit=Noise(seed=1, rms=1.0), dose=dose)]
        for tail in ("embed", "L0.resid_post", "L1.H2", "L1.neurons", "L1.resid_post")
        for dose in (0.0, -2.0)
    }
    extra = {"encoder": [Intervention(site="encoder.L1.attn", edit=Zero())]} if name == "t5" else {}
    return {"plain": [], "both": both} | doses | extra


@pytest.mark.parametrize(
    ("name", "tokens_at_once"), [(name, 10_000) for name in EVERY] + [("gptj", 1), ("t5", 1), ("t5", 50)]
)
def test_a_sweep_is_one_full_pass_a_variant(name, tokens_at_once):
    model, kwargs = tiny(name).float(), inputs(name)
    mask = torch.ones_like(kwargs["input_ids"])
    mask[1, 4:] = 0
    kwargs["attention_mask"] = mask
    variants = variants_of(name)
    read = (torch.tensor([2, 0, 1]), torch.tensor([4, 0, 3]))
    found = sweep(model, kwargs, variants, read=read, tokens_at_once=tokens_at_once)
    assert list(found) == list(variants)
    for variant, items in variants.items():
        if items:
            with intervene(model, items):
                wanted = logits(model, kwargs)
        else:
            wanted = logits(model, kwargs)
        torch.testing.assert_close(found[variant], wanted[read], rtol=1e-5, atol=1e-5)
    assert (found["both"] - found["plain"]).abs().max() > 1e-3


def test_rows_masks_and_doses_a_row_keep_their_meaning_in_a_shared_pass():
    model, kwargs = tiny("llama"), inputs("llama")
    mask = torch.rand(9, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    rows = torch.tensor([4, 8, 0])
    item = Intervention(site="L0.mlp", edit=Noise(seed=1, rms=1.0), tokens=mask, dose=(1.0, 2.0, 3.0))
    found = sweep(model, kwargs, {"a": [item.at(1.0)], "b": [item], "plain": []}, rows=rows, tokens_at_once=1000)
    with intervene(model, [item], rows=rows):
        torch.testing.assert_close(found["b"], logits(model, kwargs)[:, -1], rtol=0, atol=1e-9)
    torch.testing.assert_close(found["a"][0], found["b"][0], rtol=0, atol=1e-9)
    torch.testing.assert_close(found["plain"], logits(model, kwargs)[:, -1], rtol=0, atol=1e-9)


def test_blocks_below_run_once():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    ran = []
    handles = [
        Anatomy(model).mlp(layer).register_forward_hook(lambda *_, layer=layer: ran.append(layer)) for layer in (0, 1)
    ]
    variants = {str(dose): [Intervention(site="L1.z", edit=Zero(), dose=dose)] for dose in (0.1, 0.2, 0.3)}
    sweep(model, kwargs, variants, tokens_at_once=1)
    assert ran == [0, 1, 1, 1]
    for handle in handles:
        handle.remove()


def test_the_last_token_is_the_last_real_one_and_reduce_keeps_less():
    ids = torch.ones(2, 4, dtype=torch.long)
    left = {"input_ids": ids, "attention_mask": torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])}
    right = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])}
    assert last_tokens(left)[1].tolist() == [3, 3]
    assert last_tokens(right)[1].tolist() == [1, 3]
    found = sweep(tiny("llama"), left, {"plain": []}, reduce=lambda part: part.argmax(-1))
    assert found["plain"].shape == (2,)
    with pytest.raises(ConfigError, match="at least one variant"):
        sweep(tiny("llama"), left, {})
