"""Layers by hand, forwards and backwards, over series with their channels last: (batch, length, channels), contiguous.

A convolution is one product of unfolded windows, as Chellapilla, Puri and Simard have it (High Performance
Convolutional Neural Networks for Document Processing, 2006); pooling compares and fills whole rows of channels.
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


class Step(Protocol):
    """One layer, or two that are one here; it remembers of the forward pass what the way back needs.

    Series are (batch, length, channels), contiguous.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return its output, and leave ``x`` as it is."""
        ...

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        """Return the gradient of its input, if that is wanted, and those of its parameters in their order."""
        ...


class _Convolution:
    """One product of unfolded windows, and for the weights' gradients another; back to its input as PyTorch does."""

    def __init__(self, layer: nn.Conv1d) -> None:
        assert not isinstance(layer.padding, str)
        self._weight, self._bias = layer.weight, layer.bias
        (self._stride,), (self._padding,) = layer.stride, layer.padding
        self._padded: Tensor | None = None  # the same from batch to batch: its edges stay 0

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        (count, length, channels), (wide, _, width) = x.shape, self._weight.shape
        if self._padding:
            edge = self._padding
            if self._padded is None or self._padded.shape != (count, length + 2 * edge, channels):
                self._padded = x.new_zeros(count, length + 2 * edge, channels)
            self._padded[:, edge : edge + length] = x
            x = self._padded
        places = (x.shape[1] - width) // self._stride + 1
        # Windows overlap, and each is one row of memory.
        strides = x.stride(0), self._stride * channels, 1
        self._windows = x.as_strided((count, places, width * channels), strides).reshape(count * places, -1)
        self._rows = self._weight.transpose(1, 2).flatten(1)
        return functional.linear(self._windows, self._rows, self._bias).view(count, places, wide)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        wide, channels, width = self._weight.shape
        flat = g.reshape(-1, wide)
        weight = self._windows.t().mm(flat).view(width, channels, wide).permute(2, 1, 0).contiguous()
        own = [weight] if self._bias is None else [weight, flat.sum(0)]
        if not wanted:
            return None, own
        shape = (1, self._stride), (0, self._padding), (1, 1), False, (0, 0), 1
        images = _image(g), _image(self._x), _image(self._rows.view(wide, width, channels))
        towards = _CONVOLUTION_BACKWARD(*images, None, *shape, (True, False, False))[0]
        return _series(towards), own


def _image(series: Tensor) -> Tensor:
    """Return series as PyTorch has images of height 1 with channels last; nothing is moved."""
    return series.unsqueeze(1).permute(0, 3, 1, 2)


def _series(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1).squeeze(1).contiguous()


class _Normalisation:
    def __init__(self, layer: nn.GroupNorm) -> None:
        self._layer, self._weight, self._bias = layer, layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        self._x, layer = _image(x), self._layer
        n, length, channels = x.shape
        y, self._mean, self._rstd = torch.native_group_norm(
            self._x, self._weight, self._bias, n, channels, length, layer.num_groups, layer.eps
        )
        return _series(y)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        saved = self._x, self._mean, self._rstd, self._weight
        n, length, channels = g.shape
        shape = n, channels, length, self._layer.num_groups
        towards, weight, bias = _NORM_BACKWARD(_image(g), *saved, *shape, (wanted, True, True))
        return (_series(towards) if wanted else None), (weight, bias)


class _Rectifier:
    def forward(self, x: Tensor) -> Tensor:
        self._y = torch.relu(x)
        return self._y

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        return (_THRESHOLD_BACKWARD(g, self._y, 0.0) if wanted else None), ()


class _RectifiedMaximum:
    """ReLU and max-pooling of pairs: pooled first, since the greater of two rectified is the greater one rectified."""

    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        first, second = _pairs(x).unbind(2)
        self._y = torch.maximum(first, second).relu_()
        # Of two that are equal the first is it. Compared into numbers: into booleans takes twice as long.
        self._is_first = torch.ge(first, second, out=torch.empty_like(self._y))
        return self._y

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        if not wanted:
            return None, ()
        g = _THRESHOLD_BACKWARD(g, self._y, 0.0)
        towards = g.new_empty(self._shape)
        if self._shape[1] % 2:
            towards[:, -1] = 0.0  # it is in no pair
        firsts, seconds = _pairs(towards).unbind(2)
        torch.mul(g, self._is_first, out=firsts)
        torch.sub(g, firsts, out=seconds)
        return towards, ()


def _pairs(series: Tensor) -> Tensor:
    """Return (batch, pairs, 2, channels), of the same memory."""
    count, length, channels = series.shape
    return series[:, : length - length % 2].view(count, length // 2, 2, channels)


class _Mean:
    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.mean(1, keepdim=True)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        return (g / self._shape[1]).expand(self._shape).contiguous(), ()


class _Flattening:
    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.transpose(1, 2).flatten(1) if x.dim() == 3 else x

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        if len(self._shape) == 2:
            return g, ()
        count, length, channels = self._shape
        return g.reshape(count, channels, length).transpose(1, 2).contiguous(), ()


class _Linear:
    def __init__(self, layer: nn.Linear) -> None:
        self._weight = layer.weight
        self._bias: Tensor | None = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        return functional.linear(x, self._weight, self._bias)

    def backward(self, g: Tensor, wanted: bool) -> tuple[Tensor | None, Sequence[Tensor]]:
        own = [g.t().mm(self._x)] if self._bias is None else [g.t().mm(self._x), g.sum(0)]
        return (g.mm(self._weight) if wanted else None), own


def _convolution(layer: nn.Conv1d) -> Step | None:
    usual = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return _Convolution(layer) if usual and (layer.groups, layer.dilation) == (1, (1,)) else None


def _normalisation(layer: nn.GroupNorm) -> Step | None:
    return _Normalisation(layer) if layer.affine else None


def _rectified_maximum(_: nn.ReLU, layer: nn.MaxPool1d) -> Step | None:
    sizes = [size[0] if isinstance(size, tuple) else size for size in (layer.kernel_size, layer.stride)]
    usual = (layer.padding, layer.dilation, layer.ceil_mode, layer.return_indices) == (0, 1, False, False)
    return _RectifiedMaximum() if sizes == [2, 2] and usual else None


def _mean(layer: nn.AdaptiveAvgPool1d) -> Step | None:
    return _Mean() if layer.output_size in (1, (1,)) else None


def _flattening(layer: nn.Flatten) -> Step | None:
    return _Flattening() if (layer.start_dim, layer.end_dim) == (1, -1) else None


@dataclass(frozen=True)
class _Known:
    """What can be read: layers, dimensions that their input may have and their output has, and what makes a step."""

    layers: tuple[type[nn.Module], ...]
    dimensions: Mapping[int, int]
    step: Callable[..., Step | None]


_KNOWN = (
    _Known((nn.Conv1d,), {3: 3}, _convolution),
    _Known((nn.GroupNorm,), {3: 3}, _normalisation),
    _Known((nn.ReLU, nn.MaxPool1d), {3: 3}, _rectified_maximum),
    _Known((nn.ReLU,), {2: 2, 3: 3}, lambda _: _Rectifier()),
    _Known((nn.AdaptiveAvgPool1d,), {3: 3}, _mean),
    _Known((nn.Flatten,), {2: 2, 3: 2}, _flattening),
    _Known((nn.Linear,), {2: 2}, _Linear),
)


def read(layers: Sequence[nn.Module], dimensions: int) -> tuple[Step, ...] | None:
    """Return the steps of layers that follow on each other, to logits; None if not all are known.

    Args:
        layers: in their order.
        dimensions: of the input, the batch among them.
    """
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
