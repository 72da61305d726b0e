"""Inside a member's container: find its processes and send them signals, as a person would with `kubectl exec`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from e2e.kubectl import Kubectl
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import CommandFailed

# Runs with the image's own Python; prints {pid: [command line, start time]} of every process in the container.
_LIST = """
import json, os
found = {}
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        line = open(f'/proc/{pid}/cmdline', 'rb').read().replace(b'\\0', b' ').decode(errors='replace').strip()
        start = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[19]
    except OSError:
        continue
    found[int(pid)] = [line, start]
print(json.dumps(found))
"""


class Processes:
    """The processes of one member at the time of asking."""

    def __init__(self, cluster: PostgresCluster, member: str) -> None:
        self._kubectl: Kubectl = cluster.kubectl
        self._namespace, self._member = cluster.namespace, member
        listing = json.loads(self._kubectl.exec(self._namespace, member, "python3", "-c", _LIST))
        self.all: dict[int, tuple[str, str]] = {int(pid): (line, start) for pid, (line, start) in listing.items()}

    def postmaster(self) -> int:
        """The pid of the server's first process. Raises CommandFailed when there is none."""
        return self._only(lambda line: line.split(" ")[0].rpartition("/")[2] == "postgres", "postmaster")

    def servers(self) -> list[int]:
        """The postmaster and all its children, the postmaster first."""
        first = self.postmaster()
        return [first, *sorted(pid for pid, (line, _) in self.all.items() if line.startswith("postgres: "))]

    def agent(self) -> int:
        """The agent's pid. Raises CommandFailed when there is none."""
        return self._only(lambda line: "from matriarch_agent.__main__ import main" in line, "agent")

    def resident_kb(self, pid: int) -> int:
        """The memory that a process holds (VmRSS), in kB."""
        words = self._kubectl.exec(self._namespace, self._member, "grep", "VmRSS:", f"/proc/{pid}/status").split()
        return int(words[1])

    def identity(self, pid: int) -> tuple[int, str]:
        """What tells a process from a later one with the same pid."""
        return pid, self.all[pid][1]

    def signal(self, pid: int, name: str) -> None:
        """Send a signal by its short name: KILL, STOP."""
        code = f"import os, signal; os.kill({pid}, signal.SIG{name})"
        self._kubectl.exec(self._namespace, self._member, "python3", "-c", code)

    def signal_all(self, pids: Sequence[int], name: str) -> None:
        """Send a signal to several processes at once; one that has ended meanwhile is passed over."""
        words = " ".join(map(str, pids))
        self._kubectl.exec(self._namespace, self._member, "sh", "-c", f"kill -{name} {words} 2>/dev/null; true")

    def signal_later(self, pid: int, name: str, seconds: float) -> None:
        """Have a signal sent in so many seconds, when kubectl may reach nobody."""
        code = f"import os, signal, time; time.sleep({seconds}); os.kill({pid}, signal.SIG{name})"
        start = (
            f"import subprocess as s; s.Popen(['python3', '-c', {code!r}], start_new_session=True, stdin=s.DEVNULL, "
        )
        start += "stdout=s.DEVNULL, stderr=s.DEVNULL)"
        self._kubectl.exec(self._namespace, self._member, "python3", "-c", start)

    def _only(self, matches: Callable[[str], bool], what: str) -> int:
        found = [pid for pid, (line, _) in self.all.items() if pid != 1 and matches(line)]
        if not found:
            raise CommandFailed(f"no {what} in {self._member}: {[line for line, _ in self.all.values()]}")
        return min(found)
