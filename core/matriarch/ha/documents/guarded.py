"""What a REST API that knows nobody does not change in the cluster settings.

Whoever reaches its port may disturb the cluster: they may switch over, restart, and set what makes it slow, fills its
disk or switches synchronous mode off for all to see. They may not open it: run programs, load libraries, name files,
say who is let in or what SQL means; nor lead it elsewhere, nor have it lose data without a word. Every check has the
settings `before` and `after`, and what does not change is never refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matriarch.ha.commands import Commands, commands_from
from matriarch.ha.documents.edits import Refusal, check_settings
from matriarch.ha.standby_cluster import standby_cluster_from
from matriarch.words.parameters import owned, privileged

_OTHERWISE = "give the API one (spec.restApi), or change the Endpoints object with kubectl or patronictl edit-config"
_PLAIN = frozenset(
    {
        "parameters",
        "pg_ctl_timeout",
        "remove_data_directory_on_diverged_timelines",
        "remove_data_directory_on_rewind_failure",
        "use_pg_rewind",
        "use_slots",
        "use_unix_socket",
        "use_unix_socket_repl",
    }
)
"""What of the section `postgresql` names no program, no file and nobody. The rest may mean nothing here, and yet give
commands to members of Patroni's in the same cluster (`recovery_conf`, `bin_dir`, `parameters_replica`)."""
_GIVEN_UP = "archive_command"
"""The one parameter that holds a command line, and that anybody may take away, as all other programs."""


def check_change(before: Mapping[str, Any], after: Mapping[str, Any], *, protected: bool) -> Refusal | None:
    """Whether the settings may become `after` by a REST request. `protected`: the API knows who asks."""
    refusal = check_settings(after)
    return refusal if refusal is not None or protected else check_open(before, after)


def check_open(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    """Whether anybody at all may make this change."""
    return (
        _check_access(before, after)
        or _check_commands(before, after)
        or _check_standby(before, after)
        or _check_section(before, after)
        or _check_parameters(before, after)
    )


def _check_access(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    """Who is let into the databases."""
    if _access(before) == _access(after):
        return None
    return _unknown("pg_hba and pg_ident are", f"set spec.pgHba or spec.pgIdent of the PostgresCluster, {_OTHERWISE}")


def _check_commands(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    """Programs run with all that Postgres may read. Anybody may take them away."""
    known = commands_from(after) in (commands_from(before), Commands())
    if known and set(filter(None, _given(after, _GIVEN_UP))) <= set(_given(before, _GIVEN_UP)):
        return None
    return _unknown(
        "Programs (replica methods, bootstrap, callbacks, pre_promote, before_stop, archive_command) are",
        "give it one, or change the Endpoints object with kubectl or patronictl",
    )


def _check_standby(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    """Another cluster to follow: the primary gives way to it, and the replication password is tried on whoever answers
    there.

    Taking the section away promotes the cluster and sends nothing to anybody: like a failover, that is for whoever
    reaches the port.
    """
    wanted = after.get("standby_cluster")
    if wanted == before.get("standby_cluster") or standby_cluster_from(wanted) is None:
        return None
    return _unknown("standby_cluster is", f"set spec.standby of the PostgresCluster, {_OTHERWISE}")


def _check_section(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    """What of `postgresql` is more than a switch may be taken away, and not be changed."""
    known, wanted = _section(before), _section(after)
    for key, value in wanted.items():
        if str(key) not in _PLAIN and value is not None and value != known.get(key):
            return _unknown(f"postgresql.{str(key)[:63]} is", _OTHERWISE)
    return None


def _check_parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    """Parameters that would open or harm the databases, and those that only the agent may set: here they are ignored,
    but a member of Patroni's in the same cluster may take some of them (`restore_command`)."""
    names = sorted({_plain(name) for document in (before, after) for name in _parameters(document)} - {_GIVEN_UP})
    for name in names:
        if (owned(name) or privileged(name)) and _given(before, name) != _given(after, name):
            instead = _OTHERWISE if owned(name) else f"set spec.parameters of the PostgresCluster, {_OTHERWISE}"
            return _unknown(f"postgresql.parameters.{name[:63]} is", instead)
    return None


def _unknown(what: str, instead: str) -> Refusal:
    """The API does not know who asks."""
    return Refusal(403, f"{what} taken only by a REST API that asks for a password or a certificate: {instead}")


def _section(document: Mapping[str, Any]) -> Mapping[str, Any]:
    postgres = document.get("postgresql")
    return postgres if isinstance(postgres, Mapping) else {}


def _access(document: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(_section(document).get(key) or [] for key in ("pg_hba", "pg_ident"))


def _parameters(document: Mapping[str, Any]) -> Mapping[Any, Any]:
    parameters = _section(document).get("parameters")
    return parameters if isinstance(parameters, Mapping) else {}


def _plain(name: object) -> str:
    """A parameter's name as it counts, however it is written."""
    return str(name).strip().lower()


def _given(document: Mapping[str, Any], wanted: str) -> list[str]:
    """The values that a document gives a parameter, in all the ways in which its name may be written."""
    return [str(value) for name, value in _parameters(document).items() if _plain(name) == wanted and value is not None]
