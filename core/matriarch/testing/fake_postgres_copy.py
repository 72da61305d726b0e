"""initdb, pg_basebackup and pg_rewind of the fake server: programs that the agent runs and that may be cut short.

pg_rewind is as blind as the real one: it compares timeline numbers and the positions where they were left, not the
content. What it then does to data that diverged unseen is reported as a violation of rule 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from matriarch.ha.view import Upstream
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_site import between
from matriarch.testing.fake_postgres_wal import FIRST_LSN, Branch, DataDir
from matriarch.words.errors import ProgramFailed

STEP_S = 0.5
"""Seconds between looks at whether a copy's source is still there."""


async def initdb(server: Server) -> DataDir:
    """A new directory with an identifier of its own."""
    await asyncio.sleep(between(server.rng, server.hazards.initdb))
    if server.volume.full or server.rng.random() < server.hazards.initdb_fails:
        raise ProgramFailed("initdb: could not create directory")
    sysid = server.site.new_sysid()
    branch = server.site.wal.grow(server.member, sysid, 1, None, FIRST_LSN)
    return DataDir(sysid, branch, FIRST_LSN, FIRST_LSN, FIRST_LSN, state="shut down", was_primary=True, unborn=True)


async def base_backup(server: Server, source: Upstream) -> DataDir:
    """The copy of a running server; raises ProgramFailed when the source goes away meanwhile."""
    other = await _connect(server, source)
    await _work(server, other, between(server.rng, server.hazards.clone), "pg_basebackup")
    if server.volume.full or server.rng.random() < server.hazards.clone_fails:
        raise ProgramFailed("pg_basebackup: could not write to file")
    copy = other.disk.copy()
    copy.unborn = source.remote
    return copy


async def rewound(server: Server, source: Upstream) -> DataDir:
    """The data after pg_rewind. Nothing to do is a failure, and what an earlier one left half-way cannot be mended."""
    if server.disk.half_rewound:
        raise ProgramFailed("an earlier pg_rewind was interrupted: only a new copy helps")
    other = await _connect(server, source)
    mine, theirs = server.disk, other.disk
    if mine.sysid != theirs.sysid:
        raise ProgramFailed("pg_rewind: source and target clusters are from different systems")
    # Of a server in recovery it knows the timeline of the last restartpoint only (all of them until PostgreSQL 15).
    known = theirs.checkpoint if other.in_recovery else theirs.flushed
    claimed = _claimed_fork(mine, theirs, known)
    if mine.branch.timeline == theirs.branch.at(known).timeline or (claimed is not None and mine.flushed <= claimed):
        raise ProgramFailed("pg_rewind: no divergence found")
    if claimed is None:
        raise ProgramFailed("pg_rewind: could not find common ancestor of the source and target timelines")
    real = mine.branch.common(mine.flushed, theirs.branch, theirs.flushed)
    if real is None or real[1] < claimed:
        what = f"pg_rewind keeps {claimed:X} as common, but the data parted at {real[1] if real else 0:X}"
        server.site.watcher.violation(5, server.member, what)
    mine.half_rewound = True
    wal_until = max(claimed, theirs.flushed)
    await _work(server, other, between(server.rng, server.hazards.rewind), "pg_rewind")
    if server.volume.full or server.rng.random() < server.hazards.rewind_fails:
        raise ProgramFailed("pg_rewind: could not find previous WAL record")
    return _with_wal_until(other.disk.copy(), wal_until)


def _with_wal_until(data: DataDir, lsn: int) -> DataDir:
    """The WAL is copied first; what the source writes while the data is copied comes by streaming later, if at all."""
    data.unproven, data.consistent_at = True, data.flushed
    data.written = data.flushed = data.replayed = min(lsn, data.flushed)
    data.branch, data.checkpoint = data.branch.at(data.flushed), min(data.checkpoint, data.flushed)
    return data


def _claimed_fork(mine: DataDir, theirs: DataDir, known: int) -> int | None:
    """Where pg_rewind, which knows the source's WAL up to `known`, believes that the two parted: the end of their last
    timeline with the same number and start."""
    ours = list(_timelines(mine.branch, mine.flushed))
    others = list(_timelines(theirs.branch.at(known), known))
    fork = None
    for (number, start, end), (other_number, other_start, other_end) in zip(ours, others, strict=False):
        if (number, start) != (other_number, other_start):
            break
        fork = min(end, other_end)
    return fork


def _timelines(branch: Branch, at: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each timeline, oldest first."""
    switches = sorted(branch.switches().items())
    start = 0
    for number, left in switches:
        yield number, start, left
        start = left
    yield branch.timeline, start, at


async def _connect(server: Server, source: Upstream) -> Server:
    network = server.site.network
    await asyncio.sleep(2 * network.latency())
    if not network.both_ways(server.host, source.host):
        await asyncio.sleep(3.0)
        raise ProgramFailed(f"{source.member} does not answer")
    other = server.site.servers.get(source.host)
    if other is None or other.process != "running" or other.hung:
        raise ProgramFailed(f"{source.member} refuses connections")
    return other


async def _work(server: Server, other: Server, duration: float, program: str) -> None:
    """Let time pass as long as the connection holds."""
    life, stalled = other.life, 0.0
    while duration > 0:
        step = min(STEP_S, duration)
        await asyncio.sleep(step)
        if other.life != life or other.process != "running":
            raise ProgramFailed(f"{program}: the server closed the connection unexpectedly")
        if other.hung or not server.site.network.both_ways(server.host, other.host):
            stalled += step
            if stalled > 10.0:
                raise ProgramFailed(f"{program}: the connection timed out")
        else:
            duration -= step
