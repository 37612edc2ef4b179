"""Many devices trained at once: their weights stacked, one batch of each in every step.

What a device computes is what `fl.training.train` computes for it: the same examples in the same batches, the same
optimiser. Only the order of additions differs, and so the last bits: in float64 the two agree to 1e-12. Unequal data is
masked, not dropped: short batches are filled up with weight 0, and who has finished leaves the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from fl.datasets import Task
from fl.perceptron import Perceptron, Stacked
from fl.training import Examples, pin


@dataclass(frozen=True)
class Member:
    """One device of a cohort.

    Attributes:
        examples: its own, at least one.
        seed: of the order of its examples (`fl.training.device_seed`).
    """

    examples: Examples
    seed: int


def why_not(network: nn.Module) -> str | None:
    """Return why devices with this network can't be trained together, or None if they can.

    Buffers (batch normalisation's running statistics) would take up what fills short batches, and drawing modules
    (dropout) would draw for all devices from one generator.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            return "it normalises over whole batches"
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            return "dropout draws differently for one device and for many"
    if next(network.buffers(), None) is not None:
        return "its buffers depend on whole batches"
    return None


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_cohort(
    task: Task,
    base: nn.Module,
    members: Sequence[Member],
    *,
    proximal_mu: float = 0.0,
    device: torch.device | None = None,
) -> list[tuple[dict[str, Tensor], float]]:
    """Train all members from the same weights.

    Args:
        task: its hyper-parameters.
        base: a network with the weights that all begin with; it isn't changed.
        members: the devices.
        proximal_mu: weight of FedProx's term, as of `fl.training.train`.
        device: to compute on; None for the CPU.

    Returns:
        Of each member, in their order, the trained weights (on the CPU) and the mean loss of its last epoch.
    """
    final, places, means = train_stacked(task, base, members, proximal_mu=proximal_mu, device=device)
    return [({name: tensor[place] for name, tensor in final.items()}, means[place]) for place in places]


def train_stacked(
    task: Task,
    base: nn.Module,
    members: Sequence[Member],
    *,
    proximal_mu: float = 0.0,
    device: torch.device | None = None,
) -> tuple[Stacked, list[int], list[float]]:
    """Train all members from the same weights; as `train_cohort`.

    Returns:
        The trained weights as they were stacked (on the CPU), the place of each member in them, and the mean losses by
        place.
    """
    pin()
    device = device or torch.device("cpu")
    order = sorted(range(len(members)), key=lambda i: -len(members[i].examples))  # who finishes first lies behind
    data = _Data.of([members[i] for i in order], task, device)
    network = base.train()
    start = {name: parameter.detach().to(device) for name, parameter in network.named_parameters()}
    weights = {name: torch.stack([tensor] * len(members)) for name, tensor in start.items()}
    momenta = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    totals = torch.zeros(len(members), dtype=torch.float64, device=device)
    perceptron = Perceptron.of(network) if data.x.dim() == 2 else None
    forward = vmap(lambda own, x: functional_call(network, own, (x,)), randomness="error")
    step = perceptron.step if perceptron is not None else partial(_step, forward)
    for active, x, y, share, counted in data.steps():
        now, moving = ({name: t[:active] for name, t in stacked.items()} for stacked in (weights, momenta))
        losses = step(now, moving, start, task, proximal_mu, x, y, share)
        totals[:active] += losses.sum(1) * counted
    final = {name: tensor.cpu() for name, tensor in weights.items()}
    means = (totals.cpu() / torch.tensor([len(members[i].examples) for i in order])).tolist()
    return final, sorted(range(len(order)), key=order.__getitem__), means


def _step(
    forward: Callable[[Stacked, Tensor], Tensor],
    weights: Stacked,
    momenta: Stacked,
    start: Stacked,
    task: Task,
    mu: float,
    x: Tensor,
    y: Tensor,
    share: Tensor,
) -> Tensor:
    """Take one step with any network, by what computes all members' logits; as `Perceptron.step`."""
    now = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}
    logits = forward(now, x)
    losses = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape) * share
    # Each device's weights are in its own losses only: the gradient of the sum holds everybody's own.
    gradients = torch.autograd.grad(losses.sum(), list(now.values()))
    with torch.no_grad():
        for (name, own), gradient in zip(now.items(), gradients, strict=True):
            if mu:
                gradient = gradient + mu * (own - start[name])
            momenta[name].mul_(task.momentum).add_(gradient)
            weights[name].add_(momenta[name], alpha=-task.learning_rate)
    return losses.detach()


@torch.no_grad()
def evaluate_cohort(network: nn.Module, all_examples: Sequence[Examples]) -> list[tuple[int, float]]:
    """Test one model on many devices' data in one pass.

    Returns:
        Of each device, the examples classified correctly and the mean loss; 0 and 0 of one without data.
    """
    pin()
    network.eval()
    x, y = (torch.cat(parts) for parts in zip(*((e.x, e.y) for e in all_examples), strict=True))
    if not len(y):
        return [(0, 0.0)] * len(all_examples)
    logits = network(x)
    sizes = [len(examples) for examples in all_examples]
    hits, all_losses = logits.argmax(dim=1) == y, functional.cross_entropy(logits, y, reduction="none")
    if len(set(sizes)) == 1:  # in one go: a device's own sums take as long as its arithmetic
        each = len(sizes), sizes[0]
        return list(zip(hits.view(each).sum(1).tolist(), all_losses.view(each).mean(1).tolist(), strict=True))
    right, losses = torch.split(hits, sizes), torch.split(all_losses, sizes)
    return [
        (int(correct.sum()), float(loss.mean()) if len(loss) else 0.0)
        for correct, loss in zip(right, losses, strict=True)
    ]


Step = tuple[int, Tensor, Tensor, Tensor, Tensor]
"""How many members are active; x, y and each example's share of its batch's mean loss, all (members, batch, ...); per
member the examples that count: those of its last epoch."""


@dataclass(frozen=True)
class _Data:
    """All members' examples in a row, and what of them each step takes.

    Attributes:
        x, y: of all members.
        indices: (steps, members, batch); filled up with an example of the member's own.
        sizes: (steps, members); 0 for who has finished.
        counted: as ``sizes``, 0 before the last epoch.
    """

    x: Tensor
    y: Tensor
    indices: Tensor
    sizes: Tensor
    counted: Tensor

    @classmethod
    def of(cls, members: Sequence[Member], task: Task, device: torch.device) -> _Data:
        """Draw every member's order as `fl.training.train` draws it, and put all side by side.

        Args:
            members: most examples first.
            task: number of epochs, and size of a batch.
            device: to compute on.
        """
        batch, epochs = task.batch, task.epochs
        width = min(batch, len(members[0].examples))
        steps = [-(-len(member.examples) // batch) for member in members]
        # Steps of an epoch lie as in its drawn order: what fills the last batch up is the member's own first example.
        indices = np.zeros((len(members), max(steps) * epochs, width), np.int64)
        sizes = np.zeros((len(members), max(steps) * epochs), np.int64)
        counted = np.zeros_like(sizes)
        generator, offset = torch.Generator(), 0
        for place, (member, count) in enumerate(zip(members, steps, strict=True)):
            examples, taken = len(member.examples), count * epochs
            generator.manual_seed(member.seed)
            own = indices[place, :taken].reshape(epochs, count * width)
            for epoch in range(epochs):
                torch.randperm(examples, generator=generator, out=torch.from_numpy(own[epoch, :examples]))
            own += offset
            sizes[place, :taken] = width
            sizes[place, count - 1 : taken : count] = examples - (count - 1) * width
            counted[place, taken - count : taken] = sizes[place, taken - count : taken]
            offset += examples
        x, y = (torch.cat(parts) for parts in zip(*((m.examples.x, m.examples.y) for m in members), strict=True))
        ordered = torch.from_numpy(indices).transpose(0, 1).contiguous()
        found = (x, y, ordered, *(torch.from_numpy(each.T.copy()) for each in (sizes, counted)))
        return cls(*(tensor.to(device) for tensor in found))

    def steps(self) -> Iterator[Step]:
        """Yield what each step takes, until the last member has finished."""
        positions = torch.arange(self.indices.shape[2], device=self.x.device)
        still = (self.sizes > 0).sum(1).tolist()
        for step, active in enumerate(still):
            sizes = self.sizes[step, :active]
            share = (positions < sizes[:, None]) / sizes[:, None].to(self.x.dtype)
            chosen = self.indices[step, :active]
            x, y = (
                all_.index_select(0, chosen.flatten()).view(*chosen.shape, *all_.shape[1:]) for all_ in (self.x, self.y)
            )
            yield active, x, y, share, self.counted[step, :active]
