"""Local training: reproducible bits, and FedProx's pull."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fl.training import Examples, device_seed, evaluate, initial_model, load_model, to_model, train
from tests.unit.fl import tiny
from tests.unit.fl.world import bits, genesis
from twins.errors import SchemaError
from twins.model import TwinModel

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[3]
PART = tiny.DATASET.load("plain", 4)[3]
DATA = Examples.of(PART.train_x, PART.train_y)
TEST = Examples.of(PART.test_x, PART.test_y)


def trained(seed: int = 1, mu: float = 0.0, base: TwinModel | None = None) -> TwinModel:
    network = tiny.network()
    load_model(network, base or genesis())
    train(network, tiny.DATASET.task, DATA, seed=seed, proximal_mu=mu)
    return to_model(network)


def distance(one: TwinModel, other: TwinModel) -> float:
    return float(sum(np.square(one.tensors[name] - other.tensors[name]).sum() for name in one.tensors))


def test_the_same_seed_gives_the_same_bits_in_fresh_networks() -> None:
    torch.manual_seed(1)
    first = trained()
    torch.manual_seed(2)  # what else the process has drawn doesn't matter
    assert bits([trained()]) == bits([first])
    assert trained(seed=2) != first


def test_training_leaves_torchs_own_random_numbers_alone() -> None:
    network = tiny.network()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(network, tiny.DATASET.task, DATA, seed=1)
    genesis()
    assert torch.equal(torch.rand(3), expected)


def test_the_genesis_is_that_of_its_seed() -> None:
    assert initial_model(tiny.DATASET.task, 3) == initial_model(tiny.DATASET.task, 3)
    assert initial_model(tiny.DATASET.task, 3) != initial_model(tiny.DATASET.task, 4)


@given(st.tuples(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(0, 10**6)), st.data())
def test_every_seed_round_and_device_has_a_seed_of_its_own(one: tuple[int, int, int], data: st.DataObject) -> None:
    other = data.draw(st.permutations(one).map(tuple) | st.tuples(*(st.integers(0, 10**6),) * 3))
    assert (device_seed(*one) == device_seed(*other)) == (one == other)
    assert 0 <= device_seed(*one) < 2**63  # as torch takes it


def test_seeds_of_neighbours_differ() -> None:
    # 1/23/4 and 12/3/4 must not run together.
    near = {device_seed(s, r, d) for s in (1, 12, 123) for r in (1, 2, 3, 23) for d in (1, 11, 3, 4)}
    assert len(near) == 48


def test_no_proximal_term_is_fedavg() -> None:
    network = tiny.network()
    load_model(network, genesis())
    train(network, tiny.DATASET.task, DATA, seed=1)
    assert bits([to_model(network)]) == bits([trained(mu=0.0)])


def test_the_proximal_term_pulls_towards_the_base_the_more_the_greater_it_is() -> None:
    distances = [distance(trained(mu=mu), genesis()) for mu in (0.0, 0.1, 1.0, 5.0)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 4


def test_one_step_of_fedprox_is_that_of_the_paper() -> None:
    """The gradient of mu/2 ||w - w0||² is zero at w0: the first of all steps is FedAvg's, the second is pulled."""
    task = replace(tiny.DATASET.task, epochs=1, batch=len(DATA), momentum=0.0)
    base, mu = genesis(), 0.5

    def steps(epochs: int, weight: float) -> TwinModel:
        network = tiny.network()
        load_model(network, base)
        train(network, replace(task, epochs=epochs), DATA, seed=1, proximal_mu=weight)
        return to_model(network)

    first = steps(1, 0.0)
    assert distance(steps(1, mu), first) == 0.0
    plain, pulled = steps(2, 0.0), steps(2, mu)
    for name, start in base.tensors.items():
        pull = task.learning_rate * mu * (first.tensors[name] - start)
        np.testing.assert_allclose(pulled.tensors[name], plain.tensors[name] - pull, atol=1e-6)


def test_training_leaves_the_base_as_it_was() -> None:
    base = genesis()
    before = base.to_bytes()
    trained(base=base)
    assert base.to_bytes() == before


def test_weights_may_be_read_only() -> None:
    base = TwinModel.from_bytes(genesis().to_bytes())
    for array in base.tensors.values():
        array.flags.writeable = False
    assert trained(base=base) == trained()


def test_what_a_network_gives_away_does_not_change_when_it_trains_on() -> None:
    network = tiny.network()
    load_model(network, genesis())
    given_away = to_model(network)
    train(network, tiny.DATASET.task, DATA, seed=1)
    assert given_away == genesis()


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(SchemaError, match="model to train"):
        load_model(tiny.network(), TwinModel({"0.weight": np.zeros((6, 4), np.float32)}))


def test_training_learns_and_the_loss_is_that_of_the_last_epoch() -> None:
    network = tiny.network()
    load_model(network, genesis())
    losses = [train(network, tiny.DATASET.task, DATA, seed=seed) for seed in range(20)]
    assert losses[-1] < losses[0] / 3
    correct, loss = evaluate(network, TEST)
    assert (correct, loss < 0.5) == (len(TEST), True)


def test_no_test_data_is_no_error() -> None:
    nothing = Examples.of(PART.test_x[:0], PART.test_y[:0])
    assert evaluate(tiny.network(), nothing) == (0, 0.0)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_steps_are_those_of_torchs_own_optimiser_to_the_bit(momentum: float) -> None:
    task = replace(tiny.DATASET.task, momentum=momentum, epochs=3)
    network, other = tiny.network(), tiny.network()
    load_model(network, genesis())
    load_model(other, genesis())
    train(network, task, DATA, seed=4)
    optimiser = torch.optim.SGD(other.parameters(), lr=task.learning_rate, momentum=momentum, fused=True)
    order = torch.Generator().manual_seed(4)
    for _ in range(task.epochs):
        for batch in torch.split(torch.randperm(len(DATA), generator=order), task.batch):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(other(DATA.x[batch]), DATA.y[batch]).backward()
            optimiser.step()
    assert bits([to_model(network)]) == bits([to_model(other)])


def test_training_imports_no_compiler() -> None:
    # torch._dynamo takes three seconds of each of a run's processes.
    program = (
        "import sys; from tests.unit.fl import tiny; from fl.training import Examples, train;"
        "part = tiny.DATASET.load('plain', 1)[0];"
        "train(tiny.network(), tiny.DATASET.task, Examples.of(part.train_x, part.train_y), seed=1);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=False).returncode == 0
