"""What people run: parse, configure, call, print. The only place where fl meets chain."""

import sys
from pathlib import Path

# `python scripts/audit.py` puts scripts/ first on the path, where scripts/devnet.py would pass for the package devnet.
sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != Path(__file__).resolve().parent]
