"""Local training and evaluation of one device, on one thread, reproducible bit for bit for the same engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fl.datasets import Task
from fl.formulation import Formulation
from twins.model import TwinModel

THREADS = 1
"""Of torch, per process, unless `with_threads` says otherwise."""

_threads: ContextVar[int] = ContextVar("threads", default=THREADS)


@dataclass(frozen=True)
class Examples:
    """Examples as tensors, made once per process: ``x[i]`` belongs to class ``y[i]``."""

    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, x: NDArray[np.float32], y: NDArray[np.int64]) -> Examples:
        """Wrap arrays without a copy."""
        return cls(torch.from_numpy(x), torch.from_numpy(y))

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.y)


def to_model(network: nn.Module) -> TwinModel:
    """Return a network's weights."""
    return TwinModel({name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()})


def load_model(network: nn.Module, model: TwinModel) -> None:
    """Put weights into a network.

    Raises:
        SchemaError: weights of another network.
    """
    model.require_schema({name: list(t.shape) for name, t in network.state_dict().items()}, "model to train")
    # A copy: training writes in place, and the arrays may be another's, or read-only.
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in model.tensors.items()})


def initial_model(task: Task, seed: int) -> TwinModel:
    """Return the genesis weights: the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        _seed(seed)
        return to_model(task.build())


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Let torch train with so many threads: another number sums in another order (fl-engine.md, section 4)."""
    token = _threads.set(count)
    try:
        yield
    finally:
        _threads.reset(token)


def pin() -> None:
    """Make torch reproducible in this process: so many threads, and no operation whose result may vary."""
    torch.set_num_threads(_threads.get())
    # What use_deterministic_algorithms(True) does, without the compiler that it imports for its sake: 3 seconds.
    torch.set_deterministic_debug_mode("error")
    # Else every new tensor is filled first, in case somebody reads it uninitialised.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _seed(seed: int) -> None:
    # Not torch.manual_seed: for accelerators that aren't used here it takes three stack traces, at every call.
    torch.default_generator.manual_seed(seed)


def device_seed(seed: int, round_number: int, device: int) -> int:
    """Derive the seed of one device in one round, so that a resumed run trains as an uninterrupted one."""
    text = f"twinledger/train/{seed}/{round_number}/{device}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def train(
    network: nn.Module, task: Task, examples: Examples, *, seed: int, proximal_mu: float = 0.0, plain: bool = False
) -> float:
    """Train in place with SGD for the task's epochs; torch's global generator is left as it was.

    Args:
        network: with the base's weights.
        task: its hyper-parameters.
        examples: the device's.
        seed: of the order of the examples, and of what the network draws (dropout).
        proximal_mu: weight of FedProx's term ``mu/2 · ||w − w_base||²`` (Li et al., 2020, equation 2); 0 is FedAvg.
        plain: by PyTorch's modules and autograd, even if `fl.formulation` knows a quicker way.

    Returns:
        Mean loss of the last epoch.
    """
    pin()
    with torch.random.fork_rng(devices=[]):
        # Devices train in an order that Flower draws: without a seed of its own each, dropout would follow it.
        _seed(seed)
        quicker = None if plain else Formulation.of(network, examples.x)
        learn = partial(_learn, network) if quicker is None else quicker.learn
        return _train(network, learn, task, examples, torch.Generator().manual_seed(seed), proximal_mu)


def _train(
    network: nn.Module,
    learn: Callable[[Tensor, Tensor], Tensor],
    task: Task,
    examples: Examples,
    generator: torch.Generator,
    proximal_mu: float,
) -> float:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    base = [parameter.detach().clone() for parameter in parameters] if proximal_mu else []
    descent = _Descent(parameters, task)
    network.train()
    total = 0.0
    for _ in range(task.epochs):
        total = 0.0
        for batch in torch.split(torch.randperm(len(examples), generator=generator), task.batch):
            loss = learn(examples.x.index_select(0, batch), examples.y.index_select(0, batch))
            total += float(loss) * len(batch)
            for parameter, start in zip(parameters, base, strict=False):
                torch.autograd.backward(proximal_mu / 2 * (parameter - start).square().sum())
            descent.step()
    return total / len(examples)


def _learn(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the loss and leave its gradients in the parameters, as `Formulation.learn`, with any network."""
    network.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(network(x), y)
    torch.autograd.backward(loss)
    return loss.detach()


class _Descent:
    """SGD with momentum: to the bit what `torch.optim.SGD` does, fused; making that one imports the compiler, too."""

    def __init__(self, parameters: list[nn.Parameter], task: Task) -> None:
        self._parameters, self._task = parameters, task
        self._momenta: list[Tensor] = []

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moving = [(p, p.grad) for p in self._parameters if p.grad is not None]
        momentum = self._task.momentum
        if momentum and not self._momenta:
            self._momenta = [torch.zeros_like(gradient) for _, gradient in moving]
        torch._fused_sgd_(
            [parameter for parameter, _ in moving],
            [gradient for _, gradient in moving],
            self._momenta,
            weight_decay=0.0,
            momentum=momentum,
            lr=self._task.learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )


@torch.no_grad()
def evaluate(network: nn.Module, examples: Examples) -> tuple[int, float]:
    """Return (number classified correctly, mean loss)."""
    pin()
    network.eval()
    if not len(examples):
        return 0, 0.0
    logits = network(examples.x)
    loss = functional.cross_entropy(logits, examples.y)
    return int((logits.argmax(dim=1) == examples.y).sum()), float(loss)
