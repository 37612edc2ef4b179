"""An auditor's processor may be older than a station's: the same updates give the same bits.

NumPy and its BLAS choose their loops by the processor. ``NPY_DISABLE_CPU_FEATURES`` and ``OPENBLAS_CORETYPE`` make them
choose those of an older one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
OLDER = "Prescott"
FEATURES = "X86_V3 X86_V4 AVX2 FMA3 AVX512_ICL AVX512_SPR"


def aggregates(**processor: str) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.integration.fl.aggregate_all"],
        env={**os.environ, **processor},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.splitlines()


def test_every_rule_gives_the_same_bits_on_an_older_processor() -> None:
    here, older = aggregates(), aggregates(NPY_DISABLE_CPU_FEATURES=FEATURES, OPENBLAS_CORETYPE=OLDER)
    assert len(here) == 13
    assert older == here
