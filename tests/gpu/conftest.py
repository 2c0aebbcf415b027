"""Tests that need a CUDA device are marked `gpu` and skipped without one; the tiny models of the other rooms serve here."""

import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOMS = ("models", "models/finetuning", "attribution", "attribution/unrolled", "capabilities", "mechanisms")
sys.path.extend(str(HERE.parent / room) for room in ROOMS)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"))
