"""The write probe: where it writes, and what it saw."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from e2e.probe.child import Child


@dataclass(frozen=True, slots=True)
class Target:
    """Where to write: the primary Service's address and an application's credentials."""

    host: str
    user: str
    password: str = field(repr=False)
    dbname: str
    port: int = 5432


@dataclass(frozen=True, slots=True)
class Report:
    """What the probe saw. `gaps` are (wall-clock start, seconds)."""

    acknowledged: int
    lost: int | None
    longest_gap_s: float
    gaps: list[tuple[float, float]]
    acks: list[float]
    errors: dict[str, int]
    members: dict[str, Any]
    ended: float

    @property
    def two_writers(self) -> list[str]:
        """Proofs that two members were writable at once."""
        found: list[str] = self.members.get("two_writers", [])
        return found

    def assert_nothing_lost(self) -> None:
        """Every acknowledged row is there, whether it was written through the Service or straight to a member."""
        assert self.acknowledged > 0, f"the probe wrote nothing; it met {self.errors}"
        assert self.lost is not None, f"the table could not be read in the end; the writers met {self.errors}"
        assert self.lost == 0, f"{self.lost} of {self.acknowledged} acknowledged rows are missing"
        assert self.members.get("lost", 0) == 0, f"acknowledged direct writes are missing: {self.members}"

    def assert_one_writer(self) -> None:
        """No two members were writable at once."""
        assert not self.two_writers, "; ".join(self.two_writers)

    def assert_writing_again(self, within: float = 2.0) -> None:
        """Writes were acknowledged up to the end."""
        assert self.acks, f"nothing was acknowledged; the writers met {self.errors}"
        silent = self.ended - self.acks[-1]
        assert silent < within, f"no write was acknowledged in the last {silent:.1f} s; the writers met {self.errors}"

    def assert_survived(self, within: float) -> None:
        """What has to hold after any single fault in the default mode; `within` seconds without a write at most."""
        self.assert_nothing_lost()
        self.assert_one_writer()
        self.assert_writing_again()
        assert self.longest_gap_s < within, f"no write was acknowledged for {self.longest_gap_s} s; met {self.errors}"


class Probe:
    """A context manager: writes from `__enter__` on; `finish` ends it and reports."""

    def __init__(
        self, target: Target, *, watch: str = "", env: Mapping[str, str] | None = None, application: str = "matriarch"
    ) -> None:
        argv = [sys.executable, "-m", "e2e.probe", "--host", target.host, "--port", str(target.port)]
        argv += ["--user", target.user, "--dbname", target.dbname]
        argv += ["--watch", watch, "--application", application] if watch else []
        self._child = Child("the probe", argv, {**(env or {}), "PGPASSWORD": target.password})

    def __enter__(self) -> Self:
        self._child.__enter__()
        return self

    def finish(self, timeout: float = 120.0) -> Report:
        """Stop writing, check the table and report. `timeout` in seconds."""
        found = self._child.finish(timeout)
        return Report(
            acknowledged=found["acknowledged"],
            lost=found["lost"],
            longest_gap_s=found["longest_gap_s"],
            gaps=[(start, seconds) for start, seconds in found["gaps"]],
            acks=found["acks"],
            errors=found["errors"],
            members=found.get("members", {}),
            ended=found["ended"],
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)
