"""Backpropagation by hand, step after step, through networks of the usual layers: autograd's gradients to the bit.

In a small network half of a training step isn't arithmetic: it is calls of modules, nodes of the graph, buffers that
are made and given back; and PyTorch's max-pooling takes as long as a convolution. Here each layer calls the operation
that autograd would call for it, and pooling is two contiguous halves and a mask (docs/adr/0018-engines.md). Weights
stay where they are: a network that is trained so is loaded, saved and tested as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward.default
_NORM_BACKWARD = torch.ops.aten.native_group_norm_backward.default
_THRESHOLD_BACKWARD = torch.ops.aten.threshold_backward.default
_NLL_FORWARD = torch.ops.aten.nll_loss_forward.default
_NLL_BACKWARD = torch.ops.aten.nll_loss_backward.default
_LOG_SOFTMAX_BACKWARD = torch.ops.aten._log_softmax_backward_data.default
_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
"""Integers as wide as each number that is known here."""


class _Step(Protocol):
    """One layer, or two that are one here; it remembers of the forward pass what the way back needs."""

    def forward(self, x: Tensor) -> Tensor:
        """Return its output, and leave ``x`` as it is."""
        ...

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        """Return the gradient of its input, if that is wanted, and those of its parameters in their order."""
        ...


@dataclass(frozen=True)
class Formulation:
    """A network by hand.

    Attributes:
        steps: in their order.
        parameters: of the network, in its order.
    """

    steps: tuple[_Step, ...]
    parameters: tuple[nn.Parameter, ...]

    @classmethod
    def of(cls, network: nn.Module, x: Tensor) -> Formulation | None:
        """Read a network; None if anything in it isn't known here to the bit, or has hooks that would go unheard.

        Args:
            network: any.
            x: (examples, ...), what it is going to be trained with; only its shape and type matter.
        """
        parameters = tuple(network.parameters())
        if type(network) is not nn.Sequential or not all(map(_as_made, network.modules())):
            return None
        if not parameters or any(_kept_back(parameter, x) for parameter in parameters) or x.dtype not in _BITS:
            return None
        layers = list(network._modules.values())  # named_children names one that comes twice once
        if len(parameters) != sum(len(tuple(layer.parameters())) for layer in layers):
            return None  # two layers share one
        steps = _read(layers, x.dim())
        return None if steps is None else cls(steps, parameters)

    @torch.no_grad()
    def learn(self, x: Tensor, y: Tensor) -> Tensor:
        """Leave the gradients of the mean cross-entropy in the parameters' ``grad``, whatever was there.

        Args:
            x: (batch, ...).
            y: (batch,), classes.

        Returns:
            The loss.
        """
        for step in self.steps:
            x = step.forward(x)
        loss, g = _cross_entropy(x, y)
        gradients: list[Tensor | None] = []
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


class _Convolution:
    """As the two-dimensional one of height 1 that PyTorch makes of it, at the cost of a few views."""

    def __init__(self, layer: nn.Conv1d) -> None:
        assert not isinstance(layer.padding, str)
        self._weight, self._bias = layer.weight.unsqueeze(2), layer.bias
        self._stride, self._padding, self._dilation = (1, *layer.stride), (0, *layer.padding), (1, *layer.dilation)
        self._groups = layer.groups

    def forward(self, x: Tensor) -> Tensor:
        self._x = x.unsqueeze(2)
        shape = self._stride, self._padding, self._dilation, self._groups
        return torch.conv2d(self._x, self._weight, self._bias, *shape).squeeze(2)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        biases = None if self._bias is None else [len(self._bias)]
        shape = self._stride, self._padding, self._dilation, False, (0, 0), self._groups
        mask = (wanted, True, biases is not None)
        towards, weight, bias = _CONVOLUTION_BACKWARD(g.unsqueeze(2), self._x, self._weight, biases, *shape, mask)
        own = [weight.squeeze(2)] if biases is None else [weight.squeeze(2), bias]
        return (towards.squeeze(2) if wanted else None), own


class _Normalisation:
    def __init__(self, layer: nn.GroupNorm) -> None:
        self._layer, self._weight, self._bias = layer, layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        self._x = x.contiguous()
        layer = self._layer
        n, channels, length = x.shape
        y, self._mean, self._rstd = torch.native_group_norm(
            self._x, self._weight, self._bias, n, channels, length, layer.num_groups, layer.eps
        )
        return y

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        saved = self._x, self._mean, self._rstd, self._weight
        shape = *self._x.shape, self._layer.num_groups
        towards, weight, bias = _NORM_BACKWARD(g.contiguous(), *saved, *shape, (wanted, True, True))
        return towards, (weight, bias)


class _Rectifier:
    def forward(self, x: Tensor) -> Tensor:
        self._y = torch.relu(x)
        return self._y

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        return (_THRESHOLD_BACKWARD(g, self._y, 0.0) if wanted else None), ()


class _RectifiedMaximum:
    """ReLU and max-pooling of pairs: pooled first, since the greater of two rectified is the greater one rectified."""

    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        second = x[..., 1::2].contiguous()
        first = x[..., : 2 * second.shape[-1] : 2].contiguous()
        self._y = torch.maximum(second, first).relu_()
        total = float(self._y.sum())
        if total == total:
            # Of two that are equal the first is it. Compared into numbers: into booleans takes twice as long.
            self._is_first = torch.le(second, first, out=second)
        else:  # not a number somewhere: of a pair, the last such is the greatest
            self._is_first = ((second <= first) | (first.isnan() & ~second.isnan())).to(x.dtype)
        return self._y

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        if not wanted:
            return None, ()
        # A zero is added, because PyTorch adds to zeros: of -0 that makes 0.
        g = _THRESHOLD_BACKWARD(g, self._y, 0.0).add_(0.0)
        firsts = _THRESHOLD_BACKWARD(g, self._is_first, 0.0)
        # The seconds get what is left, bit by bit: infinity less infinity is no 0.
        bits = _BITS[g.dtype]
        seconds = g.view(bits).bitwise_xor_(firsts.view(bits)).view(g.dtype)
        # What puts two rows of numbers side by side quickest.
        pairs = torch.view_as_real(torch.complex(firsts, seconds)).flatten(-2)
        return (functional.pad(pairs, (0, 1)) if self._shape[-1] % 2 else pairs), ()


class _Mean:
    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.mean(-1, keepdim=True)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        return (g / self._shape[-1]).expand(self._shape).contiguous(), ()  # each alone, as ReLU takes it quickest


class _Flattening:
    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.flatten(1)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        return g.reshape(self._shape), ()


class _Linear:
    def __init__(self, layer: nn.Linear) -> None:
        self._weight = layer.weight
        self._bias: Tensor | None = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        return functional.linear(x, self._weight, self._bias)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor | None]]:
        own = [g.t().mm(self._x)] if self._bias is None else [g.t().mm(self._x), g.sum(0)]
        return (g.mm(self._weight) if wanted else None), own


def _convolution(layer: nn.Conv1d) -> _Step | None:
    return _Convolution(layer) if layer.padding_mode == "zeros" and not isinstance(layer.padding, str) else None


def _normalisation(layer: nn.GroupNorm) -> _Step | None:
    return _Normalisation(layer) if layer.affine else None


def _rectified_maximum(_: nn.ReLU, layer: nn.MaxPool1d) -> _Step | None:
    sizes = [size[0] if isinstance(size, tuple) else size for size in (layer.kernel_size, layer.stride)]
    usual = (layer.padding, layer.dilation, layer.ceil_mode, layer.return_indices) == (0, 1, False, False)
    return _RectifiedMaximum() if sizes == [2, 2] and usual else None


def _mean(layer: nn.AdaptiveAvgPool1d) -> _Step | None:
    return _Mean() if layer.output_size in (1, (1,)) else None


def _flattening(layer: nn.Flatten) -> _Step | None:
    return _Flattening() if (layer.start_dim, layer.end_dim) == (1, -1) else None


@dataclass(frozen=True)
class _Known:
    """What can be read: layers, dimensions that their input may have and their output has, and what makes a step."""

    layers: tuple[type[nn.Module], ...]
    dimensions: Mapping[int, int]
    step: Callable[..., _Step | None]


_KNOWN = (
    _Known((nn.Conv1d,), {3: 3}, _convolution),
    _Known((nn.GroupNorm,), {3: 3}, _normalisation),
    _Known((nn.ReLU, nn.MaxPool1d), {3: 3}, _rectified_maximum),
    _Known((nn.ReLU,), {2: 2, 3: 3}, lambda _: _Rectifier()),
    _Known((nn.AdaptiveAvgPool1d,), {3: 3}, _mean),
    _Known((nn.Flatten,), {2: 2, 3: 2}, _flattening),
    _Known((nn.Linear,), {2: 2}, _Linear),
)


def _read(layers: Sequence[nn.Module], dimensions: int) -> tuple[_Step, ...] | None:
    """Return the steps from such an input to logits, or None if not every layer is known."""
    steps = []
    while layers:
        kinds = [type(layer) for layer in layers]
        known = next((k for k in _KNOWN if [*k.layers] == kinds[: len(k.layers)] and dimensions in k.dimensions), None)
        step = None if known is None else known.step(*layers[: len(known.layers)])
        if known is None or step is None:
            return None
        steps.append(step)
        layers, dimensions = layers[len(known.layers) :], known.dimensions[dimensions]
    return tuple(steps) if dimensions == 2 else None


def _as_made(module: nn.Module) -> bool:
    """Tell whether a module does what its class does: no hooks, no parameters or forward of its own."""
    hooks = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
    return not any(hooks) and module._parameters.keys() <= {"weight", "bias"} and "forward" not in vars(module)


def _kept_back(parameter: nn.Parameter, x: Tensor) -> bool:
    """Tell whether a parameter is frozen, of another type than the data, or has hooks."""
    observed = parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None)
    return not parameter.requires_grad or parameter.dtype != x.dtype or bool(observed)
