"""Finding, starting and killing processes through /proc.

Postgres' backends call setsid(), and when the postmaster dies they become init's children: neither a process group nor
the process tree names them all. What does is the volume's lock: its descriptor, under one number, is open in every
process that init started and in everything these forked. The agent's own programs hold it too and are told apart by
their session, which is the agent's.
"""

from __future__ import annotations

import os

from matriarch_agent.init.bare import TYPE_CHECKING, signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Process:
    """A line of the process table."""

    __slots__ = ("parent", "pid", "session", "state")

    def __init__(self, pid: int, state: str, parent: int, session: int) -> None:
        self.pid = pid
        self.state = state
        self.parent = parent
        self.session = session


class VolumeLock:
    """An open descriptor of the lock file and the file's identity."""

    __slots__ = ("device", "fd", "inode")

    def __init__(self, fd: int, device: int, inode: int) -> None:
        self.fd = fd
        self.device = device
        self.inode = inode

    def held_by(self, pid: int) -> bool:
        """Whether a process has inherited the descriptor."""
        try:
            found = os.stat(f"/proc/{pid}/fd/{self.fd}")
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)


def table() -> dict[int, Process]:
    """Every process that is not dead already."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb", buffering=0) as file:
                text = file.read()
        except OSError:
            continue
        fields = text[text.rindex(b")") + 2 :].split(None, 4)
        state = fields[0].decode()
        if state not in "ZXx":
            found[int(entry)] = Process(int(entry), state, int(fields[1]), int(fields[3]))
    return found


def servers(postmaster: int | None, agent_session: int | None, lock: VolumeLock) -> list[int]:
    """Every live process of Postgres: the postmaster's descendants, and holders of the lock outside the agent."""
    processes = table()
    me = os.getpid()
    family = {postmaster} if postmaster in processes else set()
    grown = bool(family)
    while grown:
        grown = False
        for process in processes.values():
            if process.parent in family and process.pid not in family:
                family.add(process.pid)
                grown = True
    for process in processes.values():
        if process.pid in (me, agent_session) or process.pid in family or process.session == agent_session:
            continue
        if lock.held_by(process.pid):
            family.add(process.pid)
    return [pid for pid in family if pid is not None]


def session_members(session: int) -> list[int]:
    """The live processes of a session."""
    return [process.pid for process in table().values() if process.session == session]


def children(pid: int) -> list[int]:
    """Direct children, by one read: the quick way to the backends. Empty where the kernel does not offer it."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:
            return [int(word) for word in file.read(1 << 20).split()]
    except OSError:
        return []


def send(pid: int, number: int) -> bool:
    """Send a signal; False when the process is gone (or not ours to signal)."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    before_exec: Callable[[], object] | None = None,
    log_file: str | None = None,
) -> int:
    """Start a program in a session of its own and return its process id.

    Raises OSError when the program cannot be executed: the child reports through a pipe that closes on exec. Nothing
    stays open then: who has no process or descriptor left now is asked again, for as long as that lasts.
    """
    output = None
    ours: list[int] = []
    try:
        if log_file:
            output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            ours.append(output)
        nothing = os.open(os.devnull, os.O_RDONLY)
        ours.append(nothing)
        reader, writer = os.pipe()
        ours += (reader, writer)
        pid = os.fork()
        if pid == 0:
            _become(argv, env, before_exec, nothing, output, writer)
        os.close(ours.pop())  # the writer: the pipe's end is the child's exec
        problem = os.read(reader, 64)
    finally:
        for fd in ours:
            os.close(fd)
    if problem:
        os.waitpid(pid, 0)
        number = int(problem)
        raise OSError(number, os.strerror(number), argv[0])
    return pid


def _become(
    argv: Sequence[str],
    env: Mapping[str, str],
    before_exec: Callable[[], object] | None,
    stdin: int,
    output: int | None,
    report: int,
) -> None:
    """In the forked child: never returns."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        if before_exec is not None:
            before_exec()
        os.dup2(stdin, 0)
        if output is not None:
            os.dup2(output, 1)
            os.dup2(output, 2)
        os.umask(0o077)
        os.execvpe(argv[0], list(argv), dict(env))
    except OSError as error:
        os.write(report, str(error.errno or 0).encode())
    finally:
        os._exit(127)
