"""Devices trained at once: what each would have made by itself, but for the rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fl.cohort import Member, evaluate_cohort, train_cohort, why_not
from fl.datasets import Task, watch
from fl.training import Examples, evaluate, initial_model, load_model, train
from tests.unit.fl import tiny

pytestmark = pytest.mark.unit

FLOAT32 = 1e-3
"""Of weights, absolutely: float32 differs between engines by up to 2.4e-4 after an update of the 1D-CNN."""

Weights = dict[str, torch.Tensor]


def examples(count: int, seed: int, *, shape: tuple[int, ...] = (4,), dtype: torch.dtype = torch.float32) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *shape, generator=generator, dtype=dtype)
    return Examples(x, torch.randint(0, 3, (count,), generator=generator))


def alone(task: Task, base: nn.Module, member: Member, mu: float, dtype: torch.dtype) -> tuple[Weights, float]:
    network = task.build().to(dtype)
    network.load_state_dict(base.state_dict())
    loss = train(network, task, member.examples, seed=member.seed, proximal_mu=mu)
    return dict(network.state_dict()), loss


def largest_difference(one: Weights, other: Weights) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def compare(task: Task, members: list[Member], mu: float, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(3)
    base = task.build().to(dtype)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    together = train_cohort(task, base, members, proximal_mu=mu)
    assert len(together) == len(members)
    for member, (weights, loss) in zip(members, together, strict=True):
        expected, mean = alone(task, base, member, mu, dtype)
        assert largest_difference(weights, expected) <= tolerance
        assert loss == pytest.approx(mean, rel=max(tolerance, 1e-12), abs=tolerance)
    assert largest_difference(dict(base.state_dict()), before) == 0.0, "the base is the caller's"


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    epochs=st.integers(1, 3),
    batch=st.sampled_from((1, 7, 8, 64)),
    mu=st.sampled_from((0.0, 0.3)),
)
def test_in_float64_uneven_devices_learn_what_each_learns_alone(
    sizes: list[int], epochs: int, batch: int, mu: float
) -> None:
    task = replace(tiny.DATASET.task, epochs=epochs, batch=batch)
    members = [Member(examples(n, i, dtype=torch.float64), 100 + i) for i, n in enumerate(sizes)]
    compare(task, members, mu, torch.float64, 1e-12)


def test_the_watchs_network_learns_in_a_cohort_within_the_stated_tolerance() -> None:
    task = replace(watch.DATASET.task, epochs=1)
    shape = (watch.CHANNELS, watch.WINDOW)
    members = [Member(examples(n, i, shape=shape), i) for i, n in enumerate((40, 33, 70))]
    compare(task, members, 0.0, torch.float32, FLOAT32)
    doubled = [Member(Examples(m.examples.x.double(), m.examples.y), m.seed) for m in members]
    compare(task, doubled, 0.0, torch.float64, 1e-12)


def test_the_same_cohort_gives_the_same_bits() -> None:
    members = [Member(examples(20 + i, i), i) for i in range(5)]
    base = tiny.network()
    first, second = (train_cohort(tiny.DATASET.task, base, members) for _ in range(2))
    for (one, loss), (other, same) in zip(first, second, strict=True):
        assert loss == same
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_who_comes_in_which_place_changes_no_more_than_the_rounding() -> None:
    members = [Member(examples(9 + 5 * i, i), i) for i in range(4)]
    base = tiny.network()
    forwards = train_cohort(tiny.DATASET.task, base, members)
    backwards = train_cohort(tiny.DATASET.task, base, members[::-1])[::-1]
    for (one, _), (other, _) in zip(forwards, backwards, strict=True):
        assert largest_difference(one, other) < FLOAT32


def test_one_devices_divergence_stays_its_own() -> None:
    broken = examples(8, 0)
    broken.x[0, 0] = float("nan")
    members = [Member(examples(9, 1), 1), Member(broken, 2), Member(examples(30, 3), 3)]
    one, other, third = train_cohort(tiny.DATASET.task, tiny.network(), members)
    assert all(torch.isfinite(tensor).all() for weights in (one[0], third[0]) for tensor in weights.values())
    assert not all(torch.isfinite(tensor).all() for tensor in other[0].values())


def test_a_model_is_tested_on_all_devices_at_once_as_on_each() -> None:
    network = tiny.network()
    load_model(network, initial_model(tiny.DATASET.task, 3))
    some = [examples(n, n) for n in (5, 1, 0, 17)]
    for found, part in zip(evaluate_cohort(network, some), some, strict=True):
        correct, loss = evaluate(network, part)
        assert found[0] == correct
        assert found[1] == pytest.approx(loss, rel=1e-5)
    assert evaluate_cohort(network, [examples(0, 1)]) == [(0, 0.0)]


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), "whole batches"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), "dropout"),
        (Counting, "buffers"),
    ],
)
def test_networks_that_a_cohort_would_train_otherwise_are_named(build: Callable[[], nn.Module], reason: str) -> None:
    assert reason in str(why_not(build()))


def test_layers_that_only_look_alike_are_fine() -> None:
    assert why_not(nn.Sequential(nn.GroupNorm(2, 4), nn.Dropout(0.0), nn.LayerNorm(4))) is None
    assert why_not(watch.network()) is None


def test_the_cohorts_order_of_examples_is_the_loops() -> None:
    """With one example that counts for all and a batch of one, the order decides the weights."""
    task = replace(tiny.DATASET.task, batch=1, epochs=1)
    data = examples(12, 5, dtype=torch.float64)
    base = tiny.network().double()
    one, other = (train_cohort(task, base, [Member(data, seed)])[0][0] for seed in (1, 2))
    assert largest_difference(one, other) > 1e-6
    assert largest_difference(one, alone(task, base, Member(data, 1), 0.0, torch.float64)[0]) <= 1e-12
    assert np.isfinite(float(one["0.weight"].sum()))
