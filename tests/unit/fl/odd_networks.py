"""Networks that aren't what they look like, or learn otherwise: what is done by hand must leave them to autograd."""

from __future__ import annotations

from torch import Tensor, nn


def hooked() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 3))
    network[0].register_forward_hook(lambda module, args, output: output * 2)
    return network


def shared() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


def frozen() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    network[0].requires_grad_(False)
    return network


class Doubling(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2  # type: ignore[no-any-return]


class Own(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2
