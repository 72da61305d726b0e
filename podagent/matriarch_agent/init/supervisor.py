"""init's one loop: children, the lease's timer, the agent's requests.

Rule 2 (RULES.md) is enforced here: when the lease that the agent told has passed, nothing of Postgres stays alive,
whatever the agent is doing or not doing.
"""

from __future__ import annotations

import os
import select

from matriarch_agent.init.agent import AgentProcess
from matriarch_agent.init.bare import TYPE_CHECKING, signal
from matriarch_agent.init.channel import Channel, Client
from matriarch_agent.init.kernel import BootTimer, now
from matriarch_agent.init.log import log
from matriarch_agent.init.postmaster import Postmaster, Refused
from matriarch_agent.init.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = dict[str, object]

STOP_WITHOUT_AGENT_S = 10.0
"""How long a fast shutdown may take that init itself orders, after which it kills."""
_PASSED_ON = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "SIGINT", signal.SIGHUP: "SIGHUP"}
_FOR_THE_POSTMASTER = {
    "HUP": signal.SIGHUP,
    "INT": signal.SIGINT,
    "QUIT": signal.SIGQUIT,
    "TERM": signal.SIGTERM,
    "USR1": signal.SIGUSR1,
}
_TERMINATING = (signal.SIGTERM, signal.SIGINT)


class Supervisor:
    """Runs until told to end; then nothing that it started is alive."""

    def __init__(self, agent: AgentProcess, postmaster: Postmaster, socket_path: str) -> None:
        self._agent = agent
        self._postmaster = postmaster
        self._lease: float | None = None
        self._leash_sprung = False
        self._terminating = False
        self._kill_at: float | None = None
        self._waiting: list[tuple[Client, int]] = []
        self._timer = BootTimer()
        self._poll = select.poll()
        self._poll.register(self._timer.fd, select.POLLIN)
        self._signals, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._signals, select.POLLIN)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *_PASSED_ON):
            signal.signal(number, _noted)
        self._channel = Channel(socket_path, self._poll, self._answer)

    def run(self) -> int:
        """The loop. Returns the exit status."""
        while not self._finished():
            self._arm()
            for fd, _ in self._poll.poll():
                if fd == self._timer.fd:
                    self._timer.clear()
                elif fd == self._signals:
                    self._take_signals()
                else:
                    self._channel.handle(fd)
                self._spring_leash()
            self._reap()
            self._work()
        self._channel.close()
        log("info", "init ends")
        return 0

    def _arm(self) -> None:
        """Set the one timer to the earliest thing that is due."""
        lease = None if self._leash_sprung else self._lease
        due = (lease, self._postmaster.next_look, self._agent.restart_at, self._kill_at)
        self._timer.arm(min((at for at in due if at is not None), default=None))

    def _work(self) -> None:
        self._spring_leash()
        postmaster = self._postmaster
        if postmaster.next_look is not None and now() >= postmaster.next_look:
            self._look()
        if self._agent.restart_at is not None and now() >= self._agent.restart_at and not self._terminating:
            self._agent.start()
        if self._terminating and self._agent.pid is None:
            self._stop_postgres()

    def _spring_leash(self) -> None:
        """Kill when the lease has passed. Called between any two pieces of work, so that none delays it."""
        if self._lease is None or self._leash_sprung or now() < self._lease:
            return
        self._leash_sprung = True
        late = now() - self._lease
        if not self._postmaster.alive:
            return
        hit = self._postmaster.kill()
        log("error", "lease ended, Postgres killed", late_ms=round(late * 1000, 1), processes=hit)

    def _look(self) -> None:
        if not self._postmaster.look():
            return
        for client, number in self._waiting:
            client.send({"id": number, "ok": True})
        self._waiting = []
        self._kill_at = None
        self._channel.publish({"event": "ended", **self._status()})

    def _stop_postgres(self) -> None:
        """After the agent's end: a fast shutdown, bounded."""
        if not self._postmaster.alive or self._postmaster.sweeping:
            return
        if self._kill_at is None:
            self._kill_at = now() + STOP_WITHOUT_AGENT_S
            self._try(lambda: self._postmaster.send(signal.SIGINT))
            log("warning", "the agent has gone and left Postgres running: stopping it")
        elif now() >= self._kill_at:
            self._kill_at = None
            self._postmaster.kill()

    def _finished(self) -> bool:
        return self._terminating and self._agent.pid is None and not self._postmaster.alive

    def _take_signals(self) -> None:
        try:
            numbers = set(os.read(self._signals, 512))
        except BlockingIOError:
            return
        for number, name in _PASSED_ON.items():
            if number in numbers:
                self._agent.send(number)
                log("info", "signal passed on to the agent", signal=name)
        if numbers.intersection(_TERMINATING):
            self._terminate()

    def _terminate(self) -> None:
        self._terminating = True
        self._agent.give_up()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._agent.reaped(pid, status):
                if self._terminating:
                    self._agent.give_up()
            else:
                self._postmaster.reaped(pid, status)

    def _answer(self, client: Client, request: Request) -> None:
        """Carry out one request; what is wrong with it becomes the answer."""
        try:
            answer: Answer | None = self._carry_out(client, request)
        except Refused as refusal:
            answer = {"ok": False, "error": str(refusal)}
        except (IndexError, KeyError, ValueError) as error:
            answer = {"ok": False, "error": f"bad request: {error!r}"}
        if answer is not None:
            client.send({"id": request.number, **answer})

    def _carry_out(self, client: Client, request: Request) -> Answer | None:
        verb = request.verb
        if verb == "lease":
            self._set_lease(request.words[0])
        elif verb == "start":
            self._start(request.words)
        elif verb == "signal":
            self._postmaster.send(_FOR_THE_POSTMASTER[request.words[0]])
        elif verb == "kill":
            if self._postmaster.alive:
                self._postmaster.kill()
                self._waiting.append((client, request.number))
                return None
        elif verb == "watch":
            client.watching = True
        elif verb == "exit":
            self._terminate()
            self._agent.send(signal.SIGKILL)
        elif verb != "status":
            raise ValueError(f"unknown request {verb!r}")
        return {"ok": True, **self._status()}

    def _set_lease(self, until: str) -> None:
        """Seconds on CLOCK_BOOTTIME; an empty word takes Postgres off the leash."""
        lease = float(until) if until else None
        if lease is not None and not 0 <= lease < float("inf"):
            raise ValueError("until is a number of seconds")
        self._lease = lease
        self._leash_sprung = False

    def _start(self, words: list[str]) -> None:
        """The log's file (empty: none), the number of arguments, these, and the environment."""
        if self._lease is not None and now() >= self._lease:
            raise Refused("the lease has ended")
        if self._terminating and self._agent.pid is None:
            raise Refused("init is ending")
        log_file, count = words[0], int(words[1])
        argv, env = words[2 : 2 + count], dict(word.split("=", 1) for word in words[2 + count :])
        if count < 1 or len(argv) != count:
            raise ValueError("fewer arguments than announced")
        self._postmaster.start(argv, env, log_file or None)
        self._channel.publish({"event": "started", **self._status()})

    def _status(self) -> Answer:
        last = self._postmaster.last_exit
        return {
            "pid": self._postmaster.pid,
            "alive": self._postmaster.alive,
            "started_at": self._postmaster.started_at,
            "last_exit": None if last is None else {"pid": last.pid, "status": last.status, "at": last.at},
            "lease": self._lease,
            "terminating": self._terminating,
        }

    @staticmethod
    def _try(step: Callable[[], None]) -> None:
        try:
            step()
        except Refused as refusal:
            log("info", "nothing to do", why=str(refusal))


def _noted(number: int, frame: object) -> None:
    """The wakeup descriptor carries the signal's number; the loop does the rest."""
