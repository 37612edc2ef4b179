"""The tiny data for seven devices."""

from __future__ import annotations

from dataclasses import replace

from tests.integration.audit.tiny import DATASET as TINY

DATASET = replace(TINY, name="seven", devices=7)
