"""Questions to another member's server, by psql: rare ones, which go the way that replication itself goes, with libpq's
own TLS, passwords and timeouts. The agent does without a second client library for them."""

from __future__ import annotations

from matriarch.words.errors import NotRunning, QueryFailed
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.place import Place

ANSWER_WITHIN_S = 10.0
"""For connecting and all answers. The connection string has its own limit for connecting."""
_NO_CONNECTION = 2
"""psql's status when there is no connection to the server, or no longer."""
_BARE = (
    "--no-psqlrc",
    "--no-password",
    "--quiet",
    "--tuples-only",
    "--no-align",
    "--field-separator-zero",
    "--record-separator-zero",
    "--set=ON_ERROR_STOP=1",
    "--set=VERBOSITY=terse",
)


async def ask(place: Place, connection_string: str, *commands: str) -> list[str]:
    """The columns of all answers, one after the other; SQL's null is empty. `connection_string` must not hold a
    password: other processes of this machine can read it.

    Raises NotRunning, or a PostgresError of another kind.
    """
    orders = [f"--command={command}" for command in commands]
    argv = [place.program("psql"), *_BARE, f"--dbname={connection_string}", *orders]
    output = await programs.run(argv, place.environment(), timeout=ANSWER_WITHIN_S)
    if output.status != 0:
        said = " ".join(output.stderr.split())[:500]
        raise NotRunning(said) if output.status == _NO_CONNECTION else QueryFailed(said)
    return output.stdout.split("\0")[:-1]
