"""The linear structural model of AT-RP-5 as a network: M = a X, Y = b M + c X."""

import torch
from torch import nn


class LinearNet(nn.Module):
    """Y = product * X * M is added when `product` is not zero, so that effects interact."""

    def __init__(self, a=2.0, b=0.5, c=1.0, product=0.0):
        super().__init__()
        self.mediator = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        self.b, self.c, self.product = b, c, product
        with torch.no_grad():
            self.mediator.weight.fill_(a)

    def forward(self, x):
        m = self.mediator(x[:, None, None])
        return self.b * m[:, 0, 0] + self.c * x + self.product * x * m[:, 0, 0]


def arms(items=6):
    """Treatment 1 against 0 for every item."""
    return {"clean": torch.ones(items, dtype=torch.float64), "corrupted": torch.zeros(items, dtype=torch.float64)}
