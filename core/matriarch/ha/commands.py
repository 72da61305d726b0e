"""Programs that the cluster settings name (after Patroni): how replicas are made, how a cluster begins, whom to tell.

They run in the database's container as the account of Postgres, so whoever may write the cluster settings may run
anything there. A command is split into words once, here, and never sees a shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matriarch.ha.written import flag

BASEBACKUP = "basebackup"
EVENTS = ("on_start", "on_stop", "on_restart", "on_reload", "on_role_change")
MOST_METHODS = 10
MOST_OPTIONS = 64
LONGEST = 4096
"""Characters of a command or of one of its arguments."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}", re.ASCII)
_OPTION = re.compile(r"[a-z][a-z-]{1,40}", re.ASCII)
_OURS = frozenset({"command", "no_params", "no_leader", "keep_data", "keep_existing_recovery_conf", "recovery_conf"})
FORBIDDEN_BASEBACKUP = frozenset(
    {
        *("pgdata", "format", "wal-method", "xlog-method", "gzip", "version", "help", "dbname", "host", "port"),
        *("username", "password", "no-password", "no-sync", "target", "waldir", "write-recovery-conf"),
    }
)
"""Options of pg_basebackup that would change what the copy is, where it goes, or whether it is on disk in the end."""

FORBIDDEN_REWIND = frozenset(
    {
        *("target-pgdata", "source-pgdata", "source-server", "dry-run", "config-file", "no-ensure-shutdown"),
        *("restore-target-wal", "write-recovery-conf", "no-sync", "version", "help"),
    }
)
"""Options of pg_rewind that would change what is rewound to what, or need an archive to read from."""

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """A program that fills a data directory. `parameters` are its own further arguments, `--name=value` each."""

    name: str
    command: Command
    parameters: tuple[str, ...] = ()
    no_params: bool = False
    """It gets no arguments at all."""
    no_leader: bool = False
    """It needs no running member to copy from."""
    keep_data: bool = False
    """What a failed attempt has left is there for the next one."""

    def argv(self, **facts: str) -> list[str]:
        """The command line; `facts` are what Patroni passes to such a program."""
        if self.no_params:
            return list(self.command)
        return [*self.command, *(f"--{name}={value}" for name, value in facts.items()), *self.parameters]


@dataclass(frozen=True, slots=True)
class Commands:
    """Everything that the settings have run. A method that is None is pg_basebackup."""

    replica_methods: tuple[Method | None, ...] = (None,)
    standby_methods: tuple[Method | None, ...] | None = None
    """Those by which the leader of a standby cluster copies the other cluster; None: the same."""
    basebackup: tuple[str, ...] = ()
    """Further options of pg_basebackup."""
    rewind: tuple[str, ...] = ()
    """Further options of pg_rewind."""
    bootstrap: Method | None = None
    """How a new cluster's data directory is made; None: initdb."""
    bootstrap_refused: str = ""
    """Why the method that was asked for cannot be used. Nothing is initialised then: an empty cluster is not what was
    asked for."""
    post_bootstrap: Command = ()
    callbacks: Mapping[str, Command] = field(default_factory=dict)
    pre_promote: Command = ()
    before_stop: Command = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    """The settings that were left out, and why."""

    def methods(self, *, remote: bool) -> tuple[Method | None, ...]:
        """How to copy, in order; `remote`: from another cluster."""
        return self.standby_methods if remote and self.standby_methods is not None else self.replica_methods

    @property
    def without_leader(self) -> bool:
        """Whether some method can fill an empty directory while nobody leads."""
        return any(method is not None and method.no_leader for method in self.replica_methods)


def commands_from(document: Mapping[str, Any]) -> Commands:
    """Read the commands of a settings document. Never raises; what cannot be used is named in `problems`."""
    problems: dict[str, str] = {}
    postgres, boot, standby = (_section(document, key) for key in ("postgresql", "bootstrap", "standby_cluster"))
    replica = _methods(postgres, postgres.get("create_replica_methods"), "postgresql", problems)
    listed = standby.get("create_replica_methods")
    method, refused = _bootstrap(boot, problems)
    return Commands(
        replica_methods=replica or (None,),
        standby_methods=_methods(postgres, listed, "standby_cluster", problems) if listed is not None else None,
        basebackup=_options(postgres.get(BASEBACKUP), BASEBACKUP, FORBIDDEN_BASEBACKUP, problems),
        rewind=_options(postgres.get("rewind"), "rewind", FORBIDDEN_REWIND, problems),
        bootstrap=method,
        bootstrap_refused=refused,
        post_bootstrap=_command(
            boot.get("post_bootstrap", boot.get("post_init")), "bootstrap.post_bootstrap", problems
        ),
        callbacks=_callbacks(postgres.get("callbacks"), problems),
        pre_promote=_command(postgres.get("pre_promote"), "postgresql.pre_promote", problems),
        before_stop=_command(postgres.get("before_stop"), "postgresql.before_stop", problems),
        problems=problems,
    )


def _section(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _command(value: object, where: str, problems: dict[str, str]) -> Command:
    """The words of a command line; none when it is absent or cannot be used."""
    if value is None:
        return ()
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or not value.isprintable():
        problems[where] = f"a command is a line of at most {LONGEST} printable characters"
        return ()
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        problems[where] = f"the command cannot be split into words: {error}"
        return ()


def _methods(
    postgres: Mapping[str, Any], listed: object, where: str, problems: dict[str, str]
) -> tuple[Method | None, ...]:
    """The methods of a list, in order. One that cannot be used is left out: the next is tried instead."""
    if listed is None:
        return (None,)
    if not isinstance(listed, list):
        problems[f"{where}.create_replica_methods"] = "give a list of names"
        return (None,)
    found: list[Method | None] = []
    for name in listed[:MOST_METHODS]:
        if name == BASEBACKUP:
            found.append(None)
            continue
        method = _method(str(name), postgres.get(name) if isinstance(name, str) else None, "postgresql", problems)
        if method is not None:
            found.append(method)
    return tuple(found)


def _method(name: str, section: object, where: str, problems: dict[str, str]) -> Method | None:
    where = f"{where}.{name[:63]}"
    if _NAME.fullmatch(name) is None or not isinstance(section, Mapping):
        problems[where] = "there is no section of that name with a command"
        return None
    command = _command(section.get("command", name), f"{where}.command", problems)
    if not command:
        return None
    parameters = []
    for key, value in list(section.items())[:MOST_OPTIONS]:
        if key in _OURS:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not isinstance(value, str | int | float) or len(text) > LONGEST or not f"{key}{text}".isprintable():
            problems[f"{where}.{str(key)[:63]}"] = "give a text or a number"
            return None
        parameters.append(f"--{key}={text}")
    options = {key: flag(section.get(key)) for key in ("no_params", "no_leader", "keep_data")}
    return Method(name, command, tuple(parameters), **options)


def _bootstrap(boot: Mapping[str, Any], problems: dict[str, str]) -> tuple[Method | None, str]:
    name = boot.get("method")
    if name in (None, "initdb"):
        return None, ""
    section = boot.get(name) if isinstance(name, str) else None
    wrong: dict[str, str] = {}
    method = _method(str(name), section, "bootstrap", wrong)
    recovery = ("recovery_conf", "keep_existing_recovery_conf")
    if isinstance(section, Mapping) and any(section.get(key) for key in recovery):
        wrong[f"bootstrap.{name}"] = "recovery from an archive is not there yet: the method has to leave complete data"
    problems.update(wrong)
    return (None if wrong else method), "; ".join(f"{where}: {why}" for where, why in wrong.items())


def _callbacks(value: object, problems: dict[str, str]) -> dict[str, Command]:
    section = value if isinstance(value, Mapping) else {}
    if value is not None and not isinstance(value, Mapping):
        problems["postgresql.callbacks"] = "give an object: on_start, on_stop, …, each with a command"
    found = {event: _command(section.get(event), f"postgresql.callbacks.{event}", problems) for event in EVENTS}
    return {event: command for event, command in found.items() if command}


def _options(value: object, program: str, forbidden: frozenset[str], problems: dict[str, str]) -> tuple[str, ...]:
    """A program's further options, from a list of names and one-key objects, or from one object."""
    rows = value.items() if isinstance(value, Mapping) else _pairs(value)
    found = []
    for name, setting in list(rows)[:MOST_OPTIONS]:
        why = _refused(name, setting, forbidden)
        if why is not None:
            problems[f"postgresql.{program}.{str(name)[:63]}"] = why
        elif setting is True or (isinstance(value, list) and setting is None):
            found.append(f"--{name}")
        elif setting is not False and setting is not None:
            found.append(f"--{name}={setting}")
    return tuple(found)


def _pairs(value: object) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    for one in value if isinstance(value, list) else []:
        pairs.extend(one.items() if isinstance(one, Mapping) else [(one, None)])
    return pairs


def _refused(name: object, value: object, forbidden: frozenset[str]) -> str | None:
    """Why an option is not passed on. The same for a name in a list and for one in an object."""
    if not isinstance(name, str) or _OPTION.fullmatch(name) is None:
        return "an option is written as its long name without dashes in front"
    if any(one.startswith(name) or name.startswith(one) for one in forbidden):
        return "this option is set by the agent, or would spoil the result"
    if not isinstance(value, str | int | float | None) or not str(value).isprintable() or len(str(value)) > LONGEST:
        return "give a text, a number or a boolean"
    if name == "compress" and not str(value).startswith("server-"):
        return "only compression on the server (server-gzip, server-lz4, server-zstd) gives a usable directory"
    return None
