"""Perceptrons by hand: what each device would have learnt alone, and no other network is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from fl.cohort import Member
from fl.perceptron import Perceptron
from tests.unit.fl import tiny
from tests.unit.fl.odd_networks import Doubling, Own, frozen, hooked, shared
from tests.unit.fl.test_cohort import compare, examples

pytestmark = pytest.mark.unit

PERCEPTRONS: dict[str, Callable[[], nn.Module]] = {
    "one layer": lambda: nn.Sequential(nn.Linear(4, 3)),
    "three": lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)),
    "two without a ReLU between": lambda: nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)),
    "without biases": lambda: nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False)),
    "a ReLU at the end": lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU()),
    "two ReLUs": lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.ReLU(), nn.Linear(5, 3)),
}


@pytest.mark.parametrize("mu", [0.0, 0.3])
@pytest.mark.parametrize("build", PERCEPTRONS.values(), ids=PERCEPTRONS.keys())
def test_in_float64_a_perceptron_learns_what_each_device_learns_alone(
    build: Callable[[], nn.Module], mu: float
) -> None:
    assert Perceptron.of(build()) is not None
    task = replace(tiny.DATASET.task, build=build, epochs=2, batch=7)
    members = [Member(examples(n, i, dtype=torch.float64), i) for i, n in enumerate((20, 3, 33, 14))]
    compare(task, members, mu, torch.float64, 1e-12)


@pytest.mark.parametrize(
    "build",
    [
        hooked,
        shared,
        frozen,
        lambda: nn.Linear(4, 3),
        lambda: Doubling(nn.Linear(4, 3)),
        lambda: nn.Sequential(Own(4, 3)),
        lambda: nn.Sequential(nn.ReLU(), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()),
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 3))),
        lambda: nn.Sequential(),
    ],
)
def test_what_is_no_plain_perceptron_is_left_to_autograd(build: Callable[[], nn.Module]) -> None:
    assert Perceptron.of(build()) is None


def test_networks_of_other_kinds_still_learn_in_a_cohort() -> None:
    task = replace(
        tiny.DATASET.task, build=lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), epochs=2
    )
    members = [Member(examples(n, i, dtype=torch.float64), i) for i, n in enumerate((20, 3, 33))]
    compare(task, members, 0.3, torch.float64, 1e-12)
