"""check_patroni, the monitoring plug-in."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from e2e.clients.programs import folder

OK, WARNING, CRITICAL, UNKNOWN = range(4)


class CheckPatroni:
    """Asks these REST addresses, one after the other, until one answers."""

    def __init__(self, addresses: Sequence[str], *options: str) -> None:
        self._argv = [str(folder() / "check_patroni"), *options]
        for address in addresses:
            self._argv += ["-e", address]

    def __call__(self, *argv: str) -> tuple[int, str]:
        """The plug-in's state and what it printed."""
        done = subprocess.run([*self._argv, *argv], capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr
