"""Cohorts of multilayer perceptrons, by hand: products of stacked matrices, forwards, backwards and into the momenta.

``vmap`` and autograd are general; for a row of linear layers and ReLUs they take 1.6 times as long as these products
(docs/adr/0018-engines.md). Backpropagation as in Rumelhart, Hinton and Williams, 1986; the gradient of a layer's
weights is added up where its momentum lies, and is nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fl.datasets import Task

Stacked = Mapping[str, Tensor]
"""Name of a parameter to all members' own, (members, ...)."""


@dataclass(frozen=True)
class _Layer:
    """A linear layer, by the names of its parameters; ``rectified`` if a ReLU follows."""

    weight: str
    bias: str | None
    rectified: bool


@dataclass(frozen=True)
class Perceptron:
    """A network of linear layers with ReLUs between them.

    Attributes:
        layers: in their order.
    """

    layers: tuple[_Layer, ...]

    @classmethod
    def of(cls, network: nn.Module) -> Perceptron | None:
        """Read a network; None if it is anything else, or has hooks that would go unheard."""
        if type(network) is not nn.Sequential or any(_observed(module) for module in network.modules()):
            return None
        layers: list[_Layer] = []
        for name, module in network._modules.items():  # named_children names one that comes twice once
            if type(module) is nn.Linear:
                bias = f"{name}.bias" if "bias" in dict(module.named_parameters()) else None
                layers.append(_Layer(f"{name}.weight", bias, rectified=False))
            elif type(module) is nn.ReLU and layers:
                layers[-1] = _Layer(layers[-1].weight, layers[-1].bias, rectified=True)
            else:
                return None
        parameters = [parameter for _, parameter in network.named_parameters()]  # one that is shared comes once
        named = sum(1 if layer.bias is None else 2 for layer in layers)
        if not layers or len(parameters) != named or not all(parameter.requires_grad for parameter in parameters):
            return None
        return cls(tuple(layers))

    def step(
        self,
        weights: Stacked,
        momenta: Stacked,
        start: Stacked,
        task: Task,
        mu: float,
        x: Tensor,
        y: Tensor,
        share: Tensor,
    ) -> Tensor:
        """Take one step of SGD, in place.

        Args:
            weights: of all members.
            momenta: theirs.
            start: what FedProx's term holds them to, without a dimension for members.
            task: its hyper-parameters.
            mu: weight of FedProx's term; 0 for none.
            x: (members, batch, features).
            y: (members, batch), classes.
            share: (members, batch), of each example in its batch's mean loss.

        Returns:
            (members, batch): each example's share of the loss, before the step.
        """
        inputs, h = [], x
        for layer in self.layers:
            inputs.append(h)
            across = weights[layer.weight].transpose(1, 2)
            h = torch.bmm(h, across) if layer.bias is None else torch.baddbmm(weights[layer.bias][:, None], h, across)
            if layer.rectified:
                h = h.relu_()
        target, outputs = y[:, :, None], h
        log = functional.log_softmax(h, dim=2)
        losses = -log.gather(2, target)[:, :, 0] * share
        g = log.exp_()
        g.scatter_(2, target, g.gather(2, target) - 1).mul_(share[:, :, None])
        for place in reversed(range(len(self.layers))):
            layer = self.layers[place]
            if layer.rectified:
                g = torch.ops.aten.threshold_backward(g, outputs, 0.0)
            outputs, weight = inputs[place], weights[layer.weight]
            momenta[layer.weight].baddbmm_(g.transpose(1, 2), outputs, beta=task.momentum)
            if layer.bias is not None:
                momenta[layer.bias].mul_(task.momentum).add_(g.sum(1))
            if place:
                g = torch.bmm(g, weight)
            for name in (layer.weight, layer.bias):
                if name is not None:
                    if mu:
                        momenta[name].add_(weights[name] - start[name], alpha=mu)
                    weights[name].add_(momenta[name], alpha=-task.learning_rate)
        return losses


def _observed(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )
