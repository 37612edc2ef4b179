"""Backpropagation by hand, step after step, through networks of the usual layers.

In a small network half of a training step isn't arithmetic: it is calls of modules, nodes of the graph, tensors turned
round; and PyTorch's max-pooling takes as long as a convolution. Here the layers of `fl.layers` follow on each other,
nothing is between them (docs/adr/0018-engines.md). The gradients are autograd's but for the order of additions. Weights
stay where and as they are: a network that is trained so is loaded, saved and tested as ever.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fl.layers import Step, read

_NLL_FORWARD = torch.ops.aten.nll_loss_forward.default
_NLL_BACKWARD = torch.ops.aten.nll_loss_backward.default
_LOG_SOFTMAX_BACKWARD = torch.ops.aten._log_softmax_backward_data.default
_TYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Formulation:
    """A network by hand.

    Attributes:
        steps: in their order.
        parameters: of the network, in its order.
    """

    steps: tuple[Step, ...]
    parameters: tuple[nn.Parameter, ...]

    @classmethod
    def of(cls, network: nn.Module, x: Tensor) -> Formulation | None:
        """Read a network; None if anything in it isn't known here, or has hooks that would go unheard.

        Args:
            network: any.
            x: (examples, ...), what it is going to be trained with; only its shape and type matter.
        """
        parameters = tuple(network.parameters())
        if type(network) is not nn.Sequential or not all(map(_as_made, network.modules())):
            return None
        if not parameters or any(_kept_back(parameter, x) for parameter in parameters) or x.dtype not in _TYPES:
            return None
        layers = list(network._modules.values())  # named_children names one that comes twice once
        if len(parameters) != sum(len(tuple(layer.parameters())) for layer in layers):
            return None  # two layers share one
        steps = read(layers, x.dim())
        return None if steps is None else cls(steps, parameters)

    @torch.no_grad()
    def learn(self, x: Tensor, y: Tensor) -> Tensor:
        """Leave the gradients of the mean cross-entropy in the parameters' ``grad``, whatever was there.

        Args:
            x: (batch, features) or (batch, channels, length).
            y: (batch,), classes.

        Returns:
            The loss.
        """
        if x.dim() == 3:
            x = x.transpose(1, 2).contiguous()
        for step in self.steps:
            x = step.forward(x)
        loss, g = _cross_entropy(x, y)
        gradients: list[Tensor] = []
        for place in reversed(range(len(self.steps))):
            assert g is not None  # only the first step's input is of no interest
            g, own = self.steps[place].backward(g, place > 0)
            gradients[:0] = own
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        return loss


def _cross_entropy(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the mean loss of a batch, and its gradient."""
    log = torch.log_softmax(logits, 1)
    loss, count = _NLL_FORWARD(log, y, None, 1, -100)  # 1 is the mean; -100 the class that PyTorch ignores
    g = _NLL_BACKWARD(torch.ones_like(loss), log, y, None, 1, -100, count)
    return loss, _LOG_SOFTMAX_BACKWARD(g, log, 1, logits.dtype)


def _as_made(module: nn.Module) -> bool:
    """Tell whether a module does what its class does: no hooks, no parameters or forward of its own."""
    hooks = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
    return not any(hooks) and module._parameters.keys() <= {"weight", "bias"} and "forward" not in vars(module)


def _kept_back(parameter: nn.Parameter, x: Tensor) -> bool:
    """Tell whether a parameter is frozen, of another type than the data, or has hooks."""
    observed = parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None)
    return not parameter.requires_grad or parameter.dtype != x.dtype or bool(observed)
