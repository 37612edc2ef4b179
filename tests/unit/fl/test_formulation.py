"""Backpropagation by hand gives autograd's gradients, with the same bits each time; what isn't known is autograd's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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

EXTREME = (0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, float("inf"), float("-inf"))


def by_autograd(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    network.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(network(x), y)
    torch.autograd.backward(loss)
    return loss.detach(), [parameter.grad for parameter in network.parameters()]


def by_hand(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    formulation = Formulation.of(network, x)
    assert formulation is not None
    return formulation.learn(x, y), [parameter.grad for parameter in network.parameters()]


def close(one: Tensor | None, other: Tensor | None) -> None:
    """Alike to 1e-9 of the greatest number in float64, which 1e-4 in float32 is the like of."""
    assert one is not None
    assert other is not None
    assert one.is_contiguous(), "the optimiser adds it to a contiguous one"
    within = {torch.float32: 1e-4, torch.float64: 1e-9}[one.dtype]
    torch.testing.assert_close(one, other, rtol=0, atol=within * max(1.0, float(other.abs().max())))


def compare(network: nn.Module, x: Tensor, y: Tensor) -> None:
    before = x.clone()
    loss, gradients = by_hand(network, x, y)
    assert torch.equal(x, before)
    expected, others = by_autograd(network, x, y)
    close(loss, expected)
    for gradient, other in zip(gradients, others, strict=True):
        close(gradient, other)


def learnt(task: Task, examples: Examples, *, plain: bool, mu: float = 0.0) -> tuple[list[Tensor], float]:
    """Train in float64."""
    network = task.build()
    load_model(network, initial_model(task, 1))
    network.double()
    wide = Examples(examples.x.double(), examples.y)
    assert Formulation.of(network, wide.x) is not None
    loss = train(network, task, wide, seed=3, proximal_mu=mu, plain=plain)
    return [parameter.detach() for parameter in network.parameters()], loss


def windows(count: int) -> Examples:
    drawn = torch.Generator().manual_seed(count)
    x = torch.randn(count, watch.CHANNELS, watch.WINDOW, generator=drawn)
    return Examples(x, torch.randint(0, watch.CLASSES, (count,), generator=drawn))


def same_training(task: Task, data: Examples, mu: float = 0.0) -> None:
    (hand, loss), (plain, expected) = (learnt(task, data, plain=plain, mu=mu) for plain in (False, True))
    assert loss == pytest.approx(expected, abs=1e-9)
    for one, other in zip(hand, plain, strict=True):
        close(one, other)


@pytest.mark.parametrize("mu", [0.0, 0.3])
@pytest.mark.parametrize("count", [1, 32, 75])
def test_the_watchs_network_learns_what_plain_pytorch_learns(count: int, mu: float) -> None:
    same_training(replace(watch.DATASET.task, epochs=3), windows(count), mu)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_perceptron_learns_what_plain_pytorch_learns(momentum: float) -> None:
    part = tiny.DATASET.load("plain", 1)[0]
    same_training(replace(tiny.DATASET.task, momentum=momentum), Examples.of(part.train_x, part.train_y))


def test_the_same_training_gives_the_same_bits_whatever_was_computed_before_it() -> None:
    def trained() -> list[bytes]:
        network = watch.network()
        load_model(network, initial_model(watch.DATASET.task, 1))
        train(network, replace(watch.DATASET.task, epochs=2), windows(75), seed=3)
        return bits([to_model(network)])

    first = trained()
    compare(watch.network(), windows(7).x, windows(7).y)
    assert trained() == first


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, Tensor, Tensor]:
    """Draw a network of what is known, and a batch."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    batch, channels, length = draw(st.integers(1, 5)), draw(st.sampled_from((1, 2, 6))), draw(st.integers(9, 40))
    x = torch.randn(batch, channels, length, dtype=torch.float64)
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(0, 2))):
        wide = draw(st.integers(1, 8))
        width, stride, padding = draw(st.integers(1, 4)), draw(st.integers(1, 2)), draw(st.integers(0, 3))
        layers.append(nn.Conv1d(channels, wide, width, stride, padding, bias=draw(st.booleans())))
        channels = wide
        if draw(st.booleans()):
            layers.append(nn.GroupNorm(draw(st.sampled_from([1, channels])), channels))
        layers += draw(st.sampled_from(([], [nn.ReLU()], [nn.ReLU(), nn.ReLU()], [nn.ReLU(), nn.MaxPool1d(2)])))
        if nn.Sequential(*layers).double()(x).shape[-1] < 4:
            break
    layers += draw(st.sampled_from(([], [nn.AdaptiveAvgPool1d(1)], [nn.ReLU(), nn.AdaptiveAvgPool1d((1,))])))
    layers.append(nn.Flatten())
    wide = int(nn.Sequential(*layers).double()(x).shape[1])
    if draw(st.booleans()):
        layers += [nn.Linear(wide, 5, bias=draw(st.booleans())), nn.ReLU(inplace=draw(st.booleans()))]
        wide = 5
    layers.append(nn.Linear(wide, 3, bias=draw(st.booleans())))
    network = nn.Sequential(*layers).double()
    for parameter in network.parameters():  # no normalised number is 0, where a rounding decides which way ReLU goes
        nn.init.normal_(parameter)
    return network, x, torch.randint(0, 3, (batch,))


@settings(max_examples=150)
@given(networks())
def test_every_network_of_known_layers_has_autograds_loss_and_gradients(
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
        return y.detach().flatten(), torch.autograd.grad(y, x, g)[0].flatten()
    formulation = Formulation.of(nn.Sequential(*layers, nn.Flatten(), nn.Linear(len(gradients), 1)), x)
    assert formulation is not None
    with torch.no_grad():
        step = formulation.steps[0]
        y, back = step.forward(x.detach().transpose(1, 2)), step.backward(g.transpose(1, 2), True)[0]
    assert back is not None
    return y.flatten(), back.flatten()


@settings(max_examples=150)
@given(st.data())
def test_pooling_gives_way_to_the_first_of_equals_as_pytorchs_does(data: st.DataObject) -> None:
    numbers = st.sampled_from(EXTREME) | st.floats(width=32, allow_nan=False)
    values = data.draw(st.lists(numbers, min_size=2, max_size=70))
    count, finite = len(values) // 2, st.floats(width=32, allow_nan=False, allow_infinity=False)
    gradients = data.draw(st.lists(finite, min_size=count, max_size=count))
    (y, back), (expected, other) = (pooled(values, gradients, plain) for plain in (False, True))
    assert torch.equal(y, expected)
    assert torch.equal(back, other)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 25, 31, 100, 257])
def test_the_mean_over_any_length_is_that_of_pytorchs_pooling(length: int) -> None:
    pin()
    network = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(9, 3))
    compare(network, torch.randn(4, 9, length), torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_constant_data_give_what_they_give_in_pytorch(value: float) -> None:
    pin()
    x = torch.full((3, watch.CHANNELS, watch.WINDOW), value, dtype=torch.float64)
    compare(watch.network().double(), x, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_impossible_data_are_seen_in_what_is_learnt(value: float) -> None:
    # A device says so then (`TwinModel.require_finite`), and sends nothing.
    data = Examples(torch.full((3, watch.CHANNELS, watch.WINDOW), value), torch.tensor([0, 1, 2]))
    for plain in (False, True):
        network = watch.network()
        train(network, watch.DATASET.task, data, seed=1, plain=plain)
        assert not all(bool(parameter.isfinite().all()) for parameter in network.parameters())


def test_training_that_diverges_is_seen_in_what_is_learnt() -> None:
    task = replace(watch.DATASET.task, epochs=2, learning_rate=1e20)
    for plain in (False, True):
        network = task.build()
        load_model(network, initial_model(task, 1))
        train(network, task, windows(40), seed=1, plain=plain)
        assert not all(bool(parameter.isfinite().all()) for parameter in network.parameters())


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
        (ending(nn.Conv1d(4, 4, 3, groups=2)), SERIES),
        (ending(nn.Conv1d(4, 4, 3, dilation=2)), SERIES),
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
def test_what_is_not_known_is_left_to_autograd(build: Callable[[], nn.Module], x: Tensor) -> None:
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
