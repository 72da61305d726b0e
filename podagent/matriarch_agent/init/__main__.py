"""Entry point of the database container: hold the volume's lock, then supervise the agent and Postgres.

Environment: MATRIARCH_DATA (the volume), MATRIARCH_RUN (sockets). Arguments replace the agent's command line.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

LOCK_FILE = ".matriarch.lock"
SOCKET = "init.sock"
AGENT = "from matriarch_agent.__main__ import main; main()"
"""`-m` would bring a quarter of a megabyte of Python's own."""
_LOOK_EVERY_S = 0.05
_TELL_EVERY_S = 10.0


def main() -> None:
    """Re-start this interpreter without site-packages (a third of the memory), then run."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    python = sys.executable
    program = f"import sys; sys.path.insert(0, {root!r}); from matriarch_agent.init.__main__ import run; run()"
    os.execv(python, [python, "-I", "-S", "-c", program, *sys.argv[1:]])


def run() -> None:
    """Supervise until the end. The process' exit status is 0 after an orderly one."""
    from matriarch_agent.init import kernel, processes
    from matriarch_agent.init.agent import AgentProcess
    from matriarch_agent.init.postmaster import Postmaster
    from matriarch_agent.init.supervisor import Supervisor

    data = os.environ.get("MATRIARCH_DATA", "/var/lib/matriarch")
    runtime = os.environ.get("MATRIARCH_RUN", "/run/matriarch")
    kernel.adopt_orphans()
    die_with_me = kernel.parent_death_killer()
    lock = processes.VolumeLock(*_hold(os.path.join(data, LOCK_FILE)))
    os.environ["MATRIARCH_LOCK_FD"] = str(lock.fd)
    agent = AgentProcess(sys.argv[1:] or [sys.executable, "-c", AGENT], die_with_me)
    postmaster = Postmaster(lock, lambda: agent.session, die_with_me)
    sys.exit(Supervisor(agent, postmaster, os.path.join(runtime, SOCKET)).run())


def _hold(path: str) -> tuple[int, int, int]:
    """Take the volume's lock, waiting as long as another init or a leftover of its Postgres has it.

    The descriptor is inheritable: every process started from here holds the lock too, so as long as any lives no
    other Postgres starts on this volume. A volume that is not there yet is waited for in the same way.
    """
    from matriarch_agent.init.bare import signal
    from matriarch_agent.init.log import log

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    told = -_TELL_EVERY_S
    while True:
        fd = None
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if fd is not None:
                os.close(fd)
            if time.monotonic() - told >= _TELL_EVERY_S:
                told = time.monotonic()
                log("warning", "waiting for the volume's lock", path=path, error=error.strerror)
            time.sleep(_LOOK_EVERY_S)
            continue
        os.set_inheritable(fd, True)
        status = os.fstat(fd)
        log("info", "volume locked", path=path)
        return fd, status.st_dev, status.st_ino


def _leave(number: int, frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
