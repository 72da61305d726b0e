"""Run programs and wait for conditions, both with an end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "e2e" / "out"
"""Where a failed test leaves what it saw."""

T = TypeVar("T")


class CommandFailed(Exception):
    """A program ended with an error or did not end in time; the message carries the end of what it printed."""


def run(
    argv: Sequence[str],
    *,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    text_in: str | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program and return its standard output. `timeout` in seconds. Raises CommandFailed."""
    try:
        done = subprocess.run(
            list(argv),
            input=text_in,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=os.environ | dict(env or {}),
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{' '.join(argv[:6])}: no end within {timeout:g} s") from error
    except FileNotFoundError as error:
        raise CommandFailed(f"{argv[0]}: not found") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandFailed(f"{' '.join(argv[:6])}: exit code {done.returncode}: {said}")
    return done.stdout


def run_aloud(argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None) -> None:
    """Run a program whose progress the person at the terminal wants to see. Raises CommandFailed."""
    try:
        code = subprocess.run(list(argv), timeout=timeout, env=os.environ | dict(env or {}), check=False).returncode
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{' '.join(argv[:6])}: no end within {timeout:g} s") from error
    if code != 0:
        raise CommandFailed(f"{' '.join(argv[:6])}: exit code {code}")


class NotYet(Exception):
    """The condition that `eventually` waits for does not hold yet; the message says what is missing."""


class TimedOut(AssertionError):
    """A bounded wait ended without its condition."""


def eventually(check: Callable[[], T], *, within: float, what: str, every: float = 0.2) -> T:
    """Call `check` until it no longer raises NotYet or CommandFailed, and return its answer.

    `within` and `every` are seconds. Raises TimedOut, with the last thing that was missing.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            return check()
        except (NotYet, CommandFailed) as missing:
            if time.monotonic() > deadline:
                raise TimedOut(f"{what}: not within {within:g} s; last seen: {missing}") from missing
        time.sleep(every)
