"""check_patroni, the monitoring plug-in."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from e2e.clients.programs import folder
from e2e.shell import NotYet, eventually

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

    def wait_told(self, expected: int, *argv: str, within: float = 15.0) -> None:
        """Wait for a state: a member tells what it saw at its last look, which may be before ours."""

        def look() -> None:
            code, said = self(*argv)
            if code != expected:
                raise NotYet(f"{code}: {said}")

        eventually(look, within=within, what=f"{expected} of check_patroni {' '.join(argv)}")
