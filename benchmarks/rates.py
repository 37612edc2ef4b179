"""What benchmarks/throughput.py compares, each measured in a process of its own: client updates per second."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.ray_baseline import updates_per_second
from benchmarks.runs import DIRECTORY, WORK, Job, measure_recorded
from fl.datasets import get
from fl.training import Examples, initial_model, load_model, pin, train
from twins.contribution import Contribution, SigningDomain, address_of_key
from twins.encryption import StationSecret
from twins.entries import ContributionIndex, contributions_tree
from twins.model import TwinModel
from twins.types import Digest, address_of_bytes, sha256_digest, twin_id
from twins.updates import DeviceUpdate, encode_payloads


def recorded(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Full provenance on the embedded profile.

    The first round, in which all is still cold, doesn't count, nor does the last: its devices have trained ahead in the
    round before, and train for none after it. The rate is over all others, for how many train ahead varies.

    Flower's simulation tests nothing, so the seconds of testing aren't counted either; the figure with them is beside.
    """
    wanted = Job(**job, mode=DIRECTORY)
    run = measure_recorded(wanted, folder)
    rounds = run["rounds"][1:-1]
    updates = wanted.devices * len(rounds)
    return {
        "engine": run["engine"],
        "rates": [updates / sum(one["seconds"] - one["phases"]["evaluate"] for one in rounds)],
        "with evaluation": [updates / sum(one["seconds"] for one in rounds)],
        "phases": [one["phases"] for one in rounds],
    }


def ray(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Flower's simulation on Ray, without any provenance."""
    dataset, split = WORK[job["work"]]
    rates = updates_per_second(dataset, split, job["devices"], job["rounds"], os.cpu_count() or 1)
    return {"engine": f"Flower's simulation, {os.cpu_count()} actors", "rates": rates}


def floor(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The arithmetic of the MLP alone, by hand, for all devices at once; on all cores: as many processes at a time."""
    processes = int(job["processes"])
    each = -(-int(job["devices"]) // processes)
    if processes == 1:
        return {"engine": "batched arithmetic, 1 core", "rates": [each / s for s in batched(each, job["rounds"])]}
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_meet, initargs=(_barrier(processes),)
    ) as pool:
        runs = [future.result() for future in [pool.submit(batched, each, job["rounds"]) for _ in range(processes)]]
    slowest = [max(seconds) for seconds in zip(*runs, strict=True)]
    return {"engine": f"batched arithmetic, {processes} cores", "rates": [each * processes / s for s in slowest]}


_MEETING: Any = None


def _barrier(parties: int) -> Any:
    return get_context("spawn").Barrier(parties)


def _meet(barrier: Any) -> None:
    global _MEETING
    _MEETING = barrier


def batched(devices: int, rounds: int) -> list[float]:
    """Return seconds that each round's arithmetic takes: batched products, plain autograd, SGD with momentum.

    No Flower, no data loader, no order drawn: batches are views of one tensor. Cohorts of 50, which is quickest.
    """
    pin()
    task = get(WORK["mlp"][0]).task
    width, groups = 50, [50] * (devices // 50) + ([devices % 50] if devices % 50 else [])
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(width, 320, 32, generator=generator), torch.randint(0, 2, (width, 320), generator=generator)
    found = []
    for number in range(rounds + 1):
        if _MEETING is not None:
            _MEETING.wait(120)
        began = perf_counter()
        for group in groups:
            _descend(x[:group], y[:group], task.batch, task.learning_rate, task.momentum)
        if number:  # the first is cold
            found.append(perf_counter() - began)
    return found


def _descend(x: Tensor, y: Tensor, batch: int, rate: float, momentum: float) -> None:
    shapes = [(32, 64), (1, 64), (64, 64), (1, 64), (64, 2), (1, 2)]
    weights = [torch.full((len(x), *shape), 0.01).requires_grad_() for shape in shapes]
    moving = [torch.zeros_like(weight) for weight in weights]
    for k in range(0, x.shape[1], batch):
        h = torch.baddbmm(weights[1], x[:, k : k + batch], weights[0]).relu()
        h = torch.baddbmm(weights[3], h, weights[2]).relu()
        logits = torch.baddbmm(weights[5], h, weights[4])
        target = y[:, k : k + batch].reshape(-1)
        loss = functional.cross_entropy(logits.reshape(-1, 2), target, reduction="sum") / batch
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, move, gradient in zip(weights, moving, gradients, strict=True):
                move.mul_(momentum).add_(gradient)
                weight.add_(move, alpha=-rate)


def loop(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The arithmetic of the devices one after another, on one core: nothing but `fl.training.train`."""
    dataset, split = WORK[job["work"]]
    task, parts = get(dataset).task, get(dataset).load(split, job["devices"])
    network, rates = task.build(), []
    for number in range(job["rounds"] + 1):
        began = perf_counter()
        for index, part in enumerate(parts):
            train(network, task, Examples.of(part.train_x, part.train_y), seed=index)
        if number:
            rates.append(len(parts) / (perf_counter() - began))
    return {"engine": "the training alone, 1 core", "rates": rates}


def by_hand(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Milliseconds of a training step, on one core: plain PyTorch and `fl.formulation`, one device's work by turns.

    That they learn the same is tests/unit/fl/test_formulation.py's to say.
    """
    dataset, split = WORK[job["work"]]
    task = get(dataset).task
    data = [Examples.of(part.train_x, part.train_y) for part in get(dataset).load(split, job["devices"])]
    networks, found = {True: task.build(), False: task.build()}, dict[bool, list[float]]({True: [], False: []})
    for network in networks.values():
        load_model(network, initial_model(task, 0))
    for number in range(job["rounds"] + 1):
        for index, examples in enumerate(data):
            for plain, network in networks.items():
                began = perf_counter()
                train(network, task, examples, seed=index, plain=plain)
                if number:  # the first round is cold
                    found[plain].append((perf_counter() - began) / -(-len(examples) // task.batch) / task.epochs * 1000)
    return {"engine": "the training alone, 1 core", "steps": {"plain": found[True], "by hand": found[False]}}


def steps(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Microseconds per device and update of each step of provenance, over a station's devices."""
    base = initial_model(get(WORK["mlp"][0]).task, 0)
    keys = [hashlib.sha256(f"{index}".encode()).digest() for index in range(job["devices"])]
    # The first repetition is cold. Each has models that nobody has serialised, hashed or signed before.
    runs = [_provenance(base, keys, number) for number in range(job["rounds"] + 1)][1:]
    return {"engine": "one process", "steps": {step: [run[step] for run in runs] for step in runs[0]}}


def _provenance(base: TwinModel, keys: Sequence[bytes], number: int) -> dict[str, float]:
    station, head, secret = address_of_bytes(b"\x01" * 20), Digest("0x" + "11" * 32), StationSecret.from_key(keys[0])
    domain, twin, accounts = SigningDomain(31337, station), twin_id("rates"), [address_of_key(key) for key in keys]
    models = [TwinModel({k: v + number + i / len(keys) for k, v in base.tensors.items()}) for i in range(len(keys))]
    found, clock = {}, _Clock(len(keys))
    payloads = [DeviceUpdate.encode_payload(model, {"train_loss": 0.5}) for model in models]
    found["serialise"] = clock.lap()
    digests = [sha256_digest(payload) for payload in payloads]
    found["hash"] = clock.lap()
    made = [Contribution(twin, number, station, head, digest, 320) for digest in digests]
    signatures = [one.sign(domain, key) for one, key in zip(made, keys, strict=True)]
    found["sign"] = clock.lap()
    signers = [one.signer(domain, signature) for one, signature in zip(made, signatures, strict=True)]
    found["check the signature"] = clock.lap()
    updates = [DeviceUpdate(*of) for of in zip(signers, [320] * len(keys), payloads, signatures, strict=True)]
    updates.sort(key=lambda update: update.device.lower())
    clock.lap()
    entries = tuple(update.entry for update in updates)
    found["hash"] += clock.lap()  # the station's own, of what it has received
    contributions_tree(entries)
    found["Merkle tree"] = clock.lap()
    ContributionIndex(entries, ()).to_bytes()
    found["index"] = clock.lap()
    secret.seal(encode_payloads(updates, b""), b"rates", ())
    found["encrypt"] = clock.lap()
    if signers != accounts:
        raise RuntimeError("a signature recovers to another device")
    return found


class _Clock:
    """Microseconds per device since the last look."""

    def __init__(self, devices: int) -> None:
        self._devices, self._last = devices, perf_counter()

    def lap(self) -> float:
        before, self._last = self._last, perf_counter()
        return (self._last - before) / self._devices * 1e6


def job_of(work: str, devices: int, rounds: int, engine: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the job of `recorded`."""
    wanted = asdict(Job(work, devices, rounds=rounds + 2, engine=engine, seed=seed))
    del wanted["mode"]
    return wanted
