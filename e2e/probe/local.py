"""One session straight to one server, from wherever this runs: `python -m e2e.probe.local --host ADDRESS ...`.

A partition test runs it inside the isolated node's network, where the old primary is still in reach. It says what was
acknowledged: `{"acknowledged": [[n, wall-clock seconds], ...], "ended": reason}`. A statement without an answer is
never cancelled, only waited for, since Postgres answers a cancelled wait for a standby with success and a warning.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

import psycopg.conninfo

from e2e.probe.session import FAILURES, Session, first_line

TABLE = "matriarch_probe_local"


async def write(conninfo: str, seconds: float, pause: float) -> dict[str, object]:
    """Insert row after row; stop at the first error or when `seconds` are over."""
    session = Session(conninfo)
    acknowledged: list[tuple[int, float]] = []
    deadline = time.monotonic() + seconds
    ended = "time over"
    number = 0
    await session.execute(f"create table if not exists {TABLE} (n bigint primary key)", timeout=5.0)
    await session.execute(f"truncate {TABLE}", timeout=5.0)
    print("ready", flush=True)
    while (left := deadline - time.monotonic()) > 0:
        number += 1
        try:
            await session.execute(f"insert into {TABLE} values (%s)", (number,), timeout=left)
        except FAILURES as error:
            ended = first_line(error)
            break
        acknowledged.append((number, time.time()))
        await asyncio.sleep(pause)
    session.close()
    return {"acknowledged": acknowledged, "ended": ended}


def main() -> None:
    """Parse, run, write the answer to `--out`."""
    parser = argparse.ArgumentParser(prog="python -m e2e.probe.local", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--user", required=True)
    parser.add_argument("--dbname", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    conninfo = psycopg.conninfo.make_conninfo(
        host=options.host, port=options.port, user=options.user, dbname=options.dbname, connect_timeout=3
    )
    options.out.write_text(json.dumps(asyncio.run(write(conninfo, options.seconds, options.pause))))


if __name__ == "__main__":
    main()
