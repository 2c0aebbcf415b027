"""Paired prompts for the tiny families: aligned random tokens that differ in two places."""

import torch

from imprint.mechanisms import PairedPrompts


def random_pairs(name, items=4, length=7, seed=0):
    """Clean and corrupted random prompts of a family, with an answer and a foil."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(1, 31, (items, length), generator=generator)
    corrupted = clean.clone()
    corrupted[:, 1:3] = torch.randint(1, 31, (items, 2), generator=generator)
    decoder = torch.randint(1, 31, (items, 4), generator=generator) if name == "t5" else None
    return PairedPrompts(
        clean=clean,
        corrupted=corrupted,
        answer=torch.randint(0, 15, (items,), generator=generator),
        foil=torch.randint(15, 31, (items,), generator=generator),
        position=torch.tensor([length - 1, length - 2] * (items // 2)).clamp(max=3 if name == "t5" else length),
        decoder=decoder,
    )
