import torch
from tiny_families import inputs, tiny

from imprint.models import on_model


def test_every_tensor_goes_to_the_model_and_nothing_else_changes():
    batch = inputs("gpt2") | {"use_cache": False, "attention_mask": None}
    moved = on_model(tiny("gpt2").to("meta"), batch)
    assert moved["input_ids"].device == torch.device("meta")
    assert moved["use_cache"] is False
    assert moved["attention_mask"] is None
    assert batch["input_ids"].device == torch.device("cpu")


def test_what_lies_there_already_is_not_copied():
    batch = inputs("t5")
    moved = on_model(tiny("t5"), batch)
    assert all(moved[name] is part for name, part in batch.items())
