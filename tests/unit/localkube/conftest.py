"""localkube is one folder that runs without being installed, so its tests find it by path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "e2e" / "localkube"))
