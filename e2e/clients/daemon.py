"""A server program that runs while a block lasts, on ports of its own, with a folder for what it needs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.shell import CommandFailed


class Daemon:
    """A context manager. A subclass writes its configuration to `folder` and appends arguments to `argv`."""

    def __init__(self, program: str) -> None:
        found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
        if found is None:
            raise CommandFailed(f"{program} is not installed: `make packages`")
        self.argv = [found]
        self.folder = Path(tempfile.mkdtemp(prefix=f"matriarch-{program}-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(self.argv, stdout=log, stderr=log, cwd=self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
