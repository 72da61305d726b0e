"""Run the probe: `python -m e2e.probe --host ADDRESS --user app --dbname app --out FILE [--watch NAMESPACE/CLUSTER]`.

The password comes from PGPASSWORD. When all its writers write it says `ready` on standard output. It runs for
`--seconds`, or until its standard input ends, and then until all write again, so that nobody was left behind. `--watch`
adds the direct writes to every member and needs KUBECONFIG.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from pathlib import Path

import psycopg.conninfo

from e2e.kubectl import CORE, Kubectl
from e2e.probe.members import Members
from e2e.probe.record import gaps, longest, two_writers
from e2e.probe.session import FAILURES, Session
from e2e.probe.writers import Writers
from e2e.shell import CommandFailed

AGAIN_S = 5.0
"""Seconds in the end for every writer to be acknowledged again. Members are ready a moment before kube-proxy leads
writers to a new address."""


class Addresses:
    """Member -> address by the cluster's labels; the last answer when the API server gives none."""

    def __init__(self, watch: str, application: str) -> None:
        self._namespace, _, self._cluster = watch.partition("/")
        self._application = application
        self._last: dict[str, str] = {}
        self._kubectl = Kubectl(os.environ)

    def __call__(self) -> dict[str, str]:
        labels = f"application={self._application},cluster-name={self._cluster}"
        try:
            pods = self._kubectl.items(CORE, "pods", namespace=self._namespace, labels=labels)
        except CommandFailed:
            return self._last
        self._last = {pod["metadata"]["name"]: ip for pod in pods if (ip := pod.get("status", {}).get("podIP"))}
        return self._last


async def probe(options: argparse.Namespace) -> dict[str, object]:
    """Write until told to stop, then check and report."""

    def conninfo(host: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host=host, port=options.port, user=options.user, dbname=options.dbname, connect_timeout=2, sslmode="prefer"
        )

    run_id = uuid.uuid4().hex
    writers = Writers(conninfo(options.host), run_id)
    await writers.prepare(options.patience)
    members = None
    if options.watch:
        members = Members(conninfo, Addresses(options.watch, options.application), run_id)
        session = Session(conninfo(options.host))
        await members.prepare(session, options.patience)
        session.close()
    stop = asyncio.Event()
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(writers.run(stop))
        if members is not None:
            group.create_task(members.run(stop))
        await writers.all_write(options.patience)
        print("ready", flush=True)
        await _until_told(options.seconds)
        await writers.all_write(AGAIN_S)
        ended = time.monotonic()
        stop.set()
    return await report(writers, members, conninfo(options.host), (started, ended), options.patience)


async def _until_told(seconds: float | None) -> None:
    if seconds is not None:
        await asyncio.sleep(seconds)
    else:
        await asyncio.to_thread(sys.stdin.read)


async def report(
    writers: Writers, members: Members | None, conninfo: str, span: tuple[float, float], patience: float
) -> dict[str, object]:
    """The figures as one JSON document; times are seconds of the wall clock."""
    lost = await writers.lost(patience)
    found = gaps([one.acked for one in writers.acknowledged], *span)
    offset = writers.offset
    answer: dict[str, object] = {
        "started": span[0] + offset,
        "ended": span[1] + offset,
        "acknowledged": len(writers.acknowledged),
        "lost": None if lost is None else len(lost),
        "lost_rows": (lost or [])[:50],
        "longest_gap_s": round(longest(found), 3),
        "gaps": [[round(gap.start + offset, 3), round(gap.seconds, 3)] for gap in found],
        "errors": dict(writers.errors.most_common(20)),
        "acks": [round(one.acked + offset, 3) for one in writers.acknowledged],
    }
    if members is not None:
        answer["members"] = await _members(members, conninfo, offset, patience)
    return answer


async def _members(members: Members, conninfo: str, offset: float, patience: float) -> dict[str, object]:
    session = Session(conninfo)
    try:
        lost: int | None = await members.lost(session, patience)
    except FAILURES:
        lost = None
    session.close()
    tenures: dict[str, list[float]] = {}
    for write in sorted(members.writes, key=lambda one: one.acked):
        key = f"{write.member} {write.address} timeline {write.timeline}"
        tenures.setdefault(key, []).append(round(write.acked + offset, 3))
    return {
        "acknowledged": len(members.writes),
        "lost": lost,
        "two_writers": two_writers(members.writes),
        "tenures": {key: [acks[0], acks[-1], len(acks)] for key, acks in tenures.items()},
        "refusals": dict(members.refusals),
        "errors": dict(members.errors.most_common(20)),
    }


def main() -> None:
    """Parse, run, write the report."""
    parser = argparse.ArgumentParser(prog="python -m e2e.probe", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--user", required=True)
    parser.add_argument("--dbname", required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument(
        "--patience", type=float, default=60.0, help="seconds to wait for the first and the last session"
    )
    parser.add_argument("--watch", metavar="NAMESPACE/CLUSTER")
    parser.add_argument("--application", default="matriarch", help="value of the pods' application label")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    answer = asyncio.run(probe(options))
    if options.out is not None:
        options.out.write_text(json.dumps(answer))
    acks = answer.pop("acks")
    assert isinstance(acks, list)
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
