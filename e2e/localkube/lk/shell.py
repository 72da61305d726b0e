"""Running programs, waiting for conditions and telling the person how far it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path


class LocalkubeError(Exception):
    """Something that the person has to know; its text says what to do."""


class CommandFailed(LocalkubeError):
    """A program ended with an error; the text holds the end of what it printed."""


def run(
    command: Sequence[str | Path],
    *,
    check: bool = True,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed.

    Raises CommandFailed when it runs longer than `timeout` seconds, or with `check` exits with another code than 0.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env=dict(environment) if environment is not None else None,
            cwd=folder,
            timeout=timeout,
        )
    except FileNotFoundError as missing:
        raise CommandFailed(f"{words[0]}: no such program") from missing
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{' '.join(words[:6])}: not done after {timeout} s") from late
    if check and done.returncode != 0:
        tail = "\n".join((done.stderr + done.stdout).strip().splitlines()[-15:])
        raise CommandFailed(f"{' '.join(words[:8])}: exit code {done.returncode}\n{tail}")
    return done


def run_logged(command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a long program with its output in `log`; CommandFailed quotes the log's end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with log.open("ab") as output:
        code = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        ).returncode
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").strip().splitlines()[-15:])
        raise CommandFailed(f"{' '.join(words[:8])}: exit code {code} (see {log})\n{tail}")


def wait_until(what: str, condition: Callable[[], bool], *, seconds: float, every: float = 0.1) -> None:
    """Return once `condition` holds; LocalkubeError names `what` when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LocalkubeError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)


def together(*tasks: Callable[[], object]) -> None:
    """Run independent tasks at the same time; the first failure is raised after all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(tasks))) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()


_STARTED = time.monotonic()


def say(text: str) -> None:
    """One progress line with the seconds since the program started. It goes to stderr: stdout is for results."""
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Tell a step's duration when it is done."""
    before = time.monotonic()
    yield
    say(f"{text} ({time.monotonic() - before:.1f} s)")
