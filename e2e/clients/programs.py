"""A virtual environment with patronictl and check_patroni, made once for each list of locked versions."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path

from e2e.shell import ROOT, run

REQUIREMENTS = ROOT / "requirements" / "clients.txt"


def folder() -> Path:
    """The environment's `bin`. Makes it when it is not there yet. Raises CommandFailed."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matriarch"
    target = cache / f"clients-{version}-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "clients.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "ready").exists():
            shutil.rmtree(target, ignore_errors=True)
            run([sys.executable, "-m", "venv", str(target)], timeout=120)
            install = ["install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", str(REQUIREMENTS)]
            run([str(target / "bin" / "python"), "-m", "pip", *install], timeout=600)
            (target / "ready").touch()
    return target / "bin"


if __name__ == "__main__":
    print(folder())
