"""The HTML report of a run: one file that needs no network, no script and no other file.

What it shows comes partly from other companies (names, digests, error texts), so it is built by
`scripts.report.markup`, which escapes whatever is not markup of its own making.
"""

from scripts.report.page import render
from scripts.report.values import ReportData, RoundRow, Tampering

__all__ = ["ReportData", "RoundRow", "Tampering", "render"]
