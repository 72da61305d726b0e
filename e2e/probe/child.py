"""A measuring program in a process of its own, so that nothing that a test does can delay it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2e.shell import ROOT


class ProbeFailed(AssertionError):
    """The probe itself could not start or end."""


class Child:
    """A context manager: the program runs from `__enter__` on, has said `ready` then, and is gone after the block.

    It is told by `--out` where its answer goes, and by the end of its standard input that it shall end.
    """

    def __init__(self, what: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._what = what
        self._env = os.environ | dict(env)
        self._folder = tempfile.TemporaryDirectory(prefix="matriarch-probe-")
        self._out, self._errors = (Path(self._folder.name) / name for name in ("answer.json", "stderr"))
        self._argv = [*argv, "--out", str(self._out)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                self._argv, cwd=ROOT, env=self._env, text=True, stdin=pipe, stdout=pipe, stderr=errors
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            self._process.wait(timeout=10)
            raise ProbeFailed(f"{self._what} did not start: {self._said()}")
        return self

    def finish(self, timeout: float) -> dict[str, Any]:
        """Wait for the end, and return the answer. `timeout` in seconds. Raises ProbeFailed."""
        assert self._process is not None
        try:
            self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.wait()
            raise ProbeFailed(f"{self._what} did not end within {timeout:g} s") from error
        if not self._out.exists():
            raise ProbeFailed(f"{self._what} failed: {self._said()}")
        found: dict[str, Any] = json.loads(self._out.read_text())
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._folder.cleanup()

    def _said(self) -> str:
        return self._errors.read_text()[-1500:]
