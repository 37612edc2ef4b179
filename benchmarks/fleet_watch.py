"""What a federation's programs do while they run: their CPU time and memory, and what their messages wait for."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from scripts.told import whole_since

ROLES = ("flower-superlink", "fleet_gate.py", "flwr-serverapp", "flower-supernode", "flower-superexec")
"""Programs whose CPU time is measured; that of ClientApps ends with them and isn't."""

STEPS = {
    "taken by its SuperNode": "Receiving:",
    "fetched": "Received successfully",
    "its ClientApp begun": "Start `flwr-clientapp`",
    "worked on": "Sending:",
    "sent back": "Sent successfully",
}
"""Steps of a message, in their order, and how a SuperNode's log says that each is over."""

HEARD = "heard of by the station"
"""What comes after the last of them."""

_LOOK = 0.02  # seconds between looks at the logs


class _Watch:
    """Something that is looked at again and again by a thread of its own."""

    def __init__(self, pause: float) -> None:
        self._pause, self._over = pause, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, after a last look."""
        self._over.set()
        self._thread.join()
        self.look()

    def _watch(self) -> None:
        while not self._over.wait(self._pause):
            self.look()

    def look(self) -> None:
        """Look once."""
        raise NotImplementedError


class Timeline(_Watch):
    """When each SuperNode was through with each step of each message."""

    def __init__(self, folder: Path) -> None:
        """Watch the logs of a federation's folder, those that come later as well."""
        super().__init__(_LOOK)
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._seen: dict[Path, list[tuple[float, str]]] = {}

    def look(self) -> None:
        """See what has been added."""
        now = time.time()
        for file in self._folder.glob("device-*/supernode.log"):
            start = self._read.get(file, 0)
            if file.stat().st_size == start:
                continue
            self._read[file], added = whole_since(file, start)
            for line in added.decode(errors="replace").splitlines():
                for step, words in STEPS.items():
                    if words in line:
                        self._seen.setdefault(file, []).append((now, step))

    def steps(self, exchanges: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Return the mean seconds that each step took.

        Args:
            exchanges: a station's lines of them (`fl.deployed.Exchange`, and ``time``, when it was over).
        """
        taken: dict[str, list[float]] = {}
        for exchange in exchanges:
            over = exchange["time"]
            began = over - exchange["last"] + exchange["gathered"]
            latest = began
            for seen in self._seen.values():
                before = began
                for at, step in seen:
                    if began <= at <= over + _LOOK:
                        taken.setdefault(step, []).append(at - before)
                        before = at
                latest = max(latest, before)
            taken.setdefault(HEARD, []).append(over - latest)
        return {step: round(max(0.0, statistics.mean(seconds)), 3) for step, seconds in taken.items()}


class Meter(_Watch):
    """CPU time and memory of a federation's programs, by what they are, once a second.

    Attributes:
        memory: greatest resident set of each role, all its processes together, MB; what they share counts for each.
    """

    def __init__(self, folder: str) -> None:
        """Watch the programs that name this folder."""
        super().__init__(1.0)
        self.memory: dict[str, int] = {}
        self._folder = folder
        self._samples: list[tuple[float, dict[str, float]]] = []

    def between(self, begin: float, end: float) -> dict[str, float]:
        """Return CPU seconds by role between two moments; of processes that were there at both."""
        inside = [sample for at, sample in self._samples if begin <= at <= end]
        if not inside:
            return {}
        return {role: inside[-1][role] - used for role, used in inside[0].items() if role in inside[-1]}

    def look(self) -> None:
        """Take a sample."""
        used: dict[str, float] = {}
        resident: dict[str, int] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                role = next((r for r in ROLES if any(word.endswith(r) for word in words[:4])), None)
                if role is None or not self._of_folder(process, words):
                    continue
                times = process.cpu_times()
                used[role] = used.get(role, 0.0) + times.user + times.system
                resident[role] = resident.get(role, 0) + process.memory_info().rss // 2**20
        self._samples.append((time.time(), used))
        self.memory = {role: max(mb, self.memory.get(role, 0)) for role, mb in {**self.memory, **resident}.items()}

    def _of_folder(self, process: psutil.Process, words: Sequence[str]) -> bool:
        return any(self._folder in word for word in words) or any(
            self._folder in word for parent in process.parents()[:2] for word in parent.cmdline()
        )
