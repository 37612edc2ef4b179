"""Backpropagation by hand gives autograd's very bits, and what isn't known to do so is left to autograd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from fl.datasets import Task, watch
from fl.formulation import Formulation
from fl.training import Examples, initial_model, load_model, pin, to_model, train
from tests.unit.fl import tiny
from tests.unit.fl.odd_networks import Doubling, Own, frozen, hooked, shared
from tests.unit.fl.world import bits

pytestmark = pytest.mark.unit

HOSTILE = (0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, float("inf"), float("-inf"), float("nan"))


def by_autograd(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    network.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(network(x), y)
    torch.autograd.backward(loss)
    return loss.detach(), [parameter.grad for parameter in network.parameters()]


def by_hand(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    formulation = Formulation.of(network, x)
    assert formulation is not None
    return formulation.learn(x, y), [parameter.grad for parameter in network.parameters()]


def assert_same(one: Tensor | None, other: Tensor | None) -> None:
    """All bits, the sign of 0 as well; only one NaN is as good as another."""
    assert one is not None
    assert other is not None
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    whole = {4: torch.int32, 8: torch.int64}[one.element_size()]
    alike = one.contiguous().view(whole) == other.contiguous().view(whole)
    assert bool((alike | (one.isnan() & other.isnan())).all())


def compare(network: nn.Module, x: Tensor, y: Tensor) -> None:
    before = x.clone()
    loss, gradients = by_hand(network, x, y)
    assert_same(x, before)
    expected, others = by_autograd(network, x, y)
    assert_same(loss, expected)
    for gradient, other in zip(gradients, others, strict=True):
        assert_same(gradient, other)


def learnt(task: Task, examples: Examples, *, plain: bool, mu: float = 0.0) -> tuple[list[bytes], float]:
    network = task.build()
    load_model(network, initial_model(task, 1))
    loss = train(network, task, examples, seed=3, proximal_mu=mu, plain=plain)
    return bits([to_model(network)]), loss


def windows(count: int) -> Examples:
    drawn = torch.Generator().manual_seed(count)
    x = torch.randn(count, watch.CHANNELS, watch.WINDOW, generator=drawn)
    return Examples(x, torch.randint(0, watch.CLASSES, (count,), generator=drawn))


@pytest.mark.parametrize("mu", [0.0, 0.3])
@pytest.mark.parametrize("count", [1, 32, 75])
def test_the_watchs_network_learns_what_plain_pytorch_learns_to_the_bit(count: int, mu: float) -> None:
    task = replace(watch.DATASET.task, epochs=3)
    assert Formulation.of(task.build(), windows(count).x) is not None
    assert learnt(task, windows(count), plain=False, mu=mu) == learnt(task, windows(count), plain=True, mu=mu)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_perceptron_learns_what_plain_pytorch_learns_to_the_bit(momentum: float) -> None:
    part = tiny.DATASET.load("plain", 1)[0]
    task, data = replace(tiny.DATASET.task, momentum=momentum), Examples.of(part.train_x, part.train_y)
    assert Formulation.of(task.build(), data.x) is not None
    assert learnt(task, data, plain=False) == learnt(task, data, plain=True)


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, Tensor, Tensor]:
    """Draw a network of what is known, and a batch."""
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    batch, channels, length = draw(st.integers(1, 5)), draw(st.sampled_from((1, 2, 6))), draw(st.integers(9, 40))
    x = torch.randn(batch, channels, length, dtype=dtype)
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(0, 2))):
        groups = draw(st.sampled_from([n for n in (1, 2, 3) if channels % n == 0]))
        wide = groups * draw(st.integers(1, 4))
        options: dict[str, Any] = {"stride": draw(st.integers(1, 2)), "dilation": draw(st.integers(1, 2))}
        options |= {"padding": draw(st.integers(1, 3)), "groups": groups, "bias": draw(st.booleans())}
        layers.append(nn.Conv1d(channels, wide, draw(st.integers(1, 3)), **options))
        channels = wide
        if draw(st.booleans()):
            layers.append(nn.GroupNorm(draw(st.sampled_from([1, channels])), channels))
        layers += draw(st.sampled_from(([], [nn.ReLU()], [nn.ReLU(), nn.ReLU()], [nn.ReLU(), nn.MaxPool1d(2)])))
    layers += draw(st.sampled_from(([], [nn.AdaptiveAvgPool1d(1)], [nn.ReLU(), nn.AdaptiveAvgPool1d((1,))])))
    layers.append(nn.Flatten())
    wide = int(nn.Sequential(*layers).to(dtype)(x).shape[1])
    if draw(st.booleans()):
        layers += [nn.Linear(wide, 5, bias=draw(st.booleans())), nn.ReLU(inplace=draw(st.booleans()))]
        wide = 5
    layers.append(nn.Linear(wide, 3, bias=draw(st.booleans())))
    return nn.Sequential(*layers).to(dtype), x, torch.randint(0, 3, (batch,))


@settings(max_examples=150)
@given(networks())
def test_every_network_of_known_layers_has_autograds_loss_and_gradients_to_the_bit(
    drawn: tuple[nn.Module, Tensor, Tensor],
) -> None:
    pin()
    compare(*drawn)


def pooled(values: list[float], gradients: list[float], plain: bool) -> tuple[Tensor, Tensor]:
    """Return what ReLU and pooling make of values, and what becomes of gradients on the way back."""
    layers = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2))
    x = torch.tensor(values).view(1, 1, -1).requires_grad_()
    g = torch.tensor(gradients).view(1, 1, -1)
    if plain:
        y = layers(x)
        return y.detach(), torch.autograd.grad(y, x, g)[0]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(len(gradients), 1))
    formulation = Formulation.of(network, x)
    assert formulation is not None
    with torch.no_grad():
        step = formulation.steps[0]
        y, back = step.forward(x.detach()), step.backward(g, True)[0]
    assert back is not None
    return y, back


@settings(max_examples=150)
@given(st.data())
def test_pooling_gives_way_to_the_first_of_equals_and_to_what_is_no_number_as_pytorchs_does(
    data: st.DataObject,
) -> None:
    numbers = st.sampled_from(HOSTILE) | st.floats(width=32)
    values = data.draw(st.lists(numbers, min_size=2, max_size=70))
    gradients = data.draw(st.lists(numbers, min_size=len(values) // 2, max_size=len(values) // 2))
    (y, back), (expected, other) = (pooled(values, gradients, plain) for plain in (False, True))
    assert bool(((y == expected) | (y.isnan() & expected.isnan())).all())  # 0 of either sign
    assert_same(back, other)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 25, 31, 100, 257])
def test_the_mean_over_any_length_is_that_of_pytorchs_pooling(length: int) -> None:
    pin()
    network = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(9, 3))
    compare(network, torch.randn(4, 9, length), torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e30])
def test_constant_and_impossible_data_give_what_they_give_in_pytorch(value: float) -> None:
    pin()
    compare(watch.network(), torch.full((3, watch.CHANNELS, watch.WINDOW), value), torch.tensor([0, 1, 2]))


def test_training_that_diverges_diverges_as_in_pytorch() -> None:
    task = replace(watch.DATASET.task, epochs=2, learning_rate=1e20)
    models = []
    for plain in (False, True):
        network = task.build()
        load_model(network, initial_model(task, 1))
        train(network, task, windows(40), seed=1, plain=plain)
        models.append(list(network.parameters()))
    for one, other in zip(*models, strict=True):
        assert_same(one.detach(), other.detach())


def hooked_at_a_parameter() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 3))
    network[0].weight.register_hook(lambda gradient: gradient * 2)
    return network


def hooked_after_the_gradient() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 3))
    network[0].weight.register_post_accumulate_grad_hook(lambda parameter: None)
    return network


def patched() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 3))
    network[0].forward = lambda x: x[:, :3]
    return network


def ending(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))


FLAT, SERIES = torch.ones(2, 4), torch.ones(2, 4, 8)


@pytest.mark.parametrize(
    ("build", "x"),
    [
        (hooked, FLAT),
        (hooked_at_a_parameter, FLAT),
        (hooked_after_the_gradient, FLAT),
        (shared, FLAT),
        (frozen, FLAT),
        (patched, FLAT),
        (lambda: nn.Linear(4, 3), FLAT),
        (lambda: Doubling(nn.Linear(4, 3)), FLAT),
        (lambda: nn.Sequential(Own(4, 3)), FLAT),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()), FLAT),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout()), FLAT),
        (lambda: nn.Sequential(nn.Sequential(nn.Linear(4, 3))), FLAT),
        (lambda: nn.Sequential(nn.ReLU()), FLAT),
        (lambda: nn.Sequential(), FLAT),
        (lambda: nn.Sequential(nn.Linear(4, 3)).double(), FLAT),
        (lambda: nn.Sequential(nn.Linear(4, 3)).half(), FLAT.half()),
        (lambda: nn.Sequential(nn.Linear(8, 3)), SERIES),
        (ending(nn.Conv1d(4, 4, 3)), FLAT),
        (ending(nn.Conv1d(4, 4, 3, padding="same")), SERIES),
        (ending(nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular")), SERIES),
        (ending(nn.BatchNorm1d(4)), SERIES),
        (ending(nn.GroupNorm(2, 4, affine=False)), SERIES),
        (ending(nn.MaxPool1d(2)), SERIES),
        (ending(nn.ReLU(), nn.MaxPool1d(3)), SERIES),
        (ending(nn.ReLU(), nn.MaxPool1d(2, stride=1)), SERIES),
        (ending(nn.ReLU(), nn.MaxPool1d(2, padding=1)), SERIES),
        (ending(nn.ReLU(), nn.MaxPool1d(2, dilation=2)), SERIES),
        (ending(nn.ReLU(), nn.MaxPool1d(2, ceil_mode=True)), SERIES),
        (ending(nn.ReLU(), nn.MaxPool1d(2, return_indices=True)), SERIES),
        (lambda: nn.Sequential(nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(8, 3)), SERIES),
        (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(64, 3)), SERIES),
    ],
)
def test_what_is_not_known_to_the_bit_is_left_to_autograd(build: Callable[[], nn.Module], x: Tensor) -> None:
    assert Formulation.of(build(), x) is None


def test_other_networks_and_frozen_layers_still_learn() -> None:
    part = tiny.DATASET.load("plain", 1)[0]
    data = Examples.of(part.train_x, part.train_y)
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    network[0].requires_grad_(False)
    before = [parameter.clone() for parameter in network.parameters()]
    losses = [train(network, tiny.DATASET.task, data, seed=seed, proximal_mu=0.1) for seed in range(5)]
    assert losses[-1] < losses[0]
    changed = [not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]
    assert changed == [False, False, True, True]
