"""Keeping the roles as the Secrets say: passwords after a rotation, and where data outlived its Secrets; and what the
replication role needs to rewind, where another agent made it."""

from __future__ import annotations

import asyncio
import base64
import hmac

from matriarch.config.quoting import identifier, literal
from matriarch.words.errors import PostgresError
from matriarch_agent.init import kernel
from matriarch_agent.journal import Log
from matriarch_agent.postgres.bootstrap import REWIND_FUNCTIONS
from matriarch_agent.postgres.credentials import (
    APP,
    REPLICATION,
    SUPERUSER,
    Credential,
    read_credential,
    role_name,
    scram_verifier,
)
from matriarch_agent.postgres.place import Place
from matriarch_agent.postgres.sql import Session

_KINDS = (SUPERUSER, REPLICATION, APP)
_RETRY_AFTER_S = 10.0
_STORED = "select rolname, coalesce(rolpassword, '') from pg_authid where rolname = any($1)"
_MISSING = "select name from unnest($1::text[]) name where not has_function_privilege($2, name, 'execute')"
_SALT_PART = 1

Stamp = tuple[int | None, ...]


class RolePasswords:
    """Compares and changes passwords on a primary, once for each state of the Secrets."""

    def __init__(self, place: Place, session: Session, log: Log) -> None:
        self._place = place
        self._session = session
        self._log = log
        self._done: Stamp | None = None
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def note_primary(self) -> None:
        """Called at each look at a running primary: begins the work when the Secrets are not those of the last time."""
        busy = self._task is not None and not self._task.done()
        if busy or kernel.now() < self._not_before:
            return
        stamp = self._stamp()
        if stamp != self._done:
            self._task = asyncio.create_task(self._bring_up_to_date(stamp), name="role-passwords")

    def note_not_primary(self) -> None:
        """Look again once this member is primary: another one may have changed the passwords meanwhile."""
        self._done = None

    async def close(self) -> None:
        """End the work under way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _bring_up_to_date(self, stamp: Stamp) -> None:
        try:
            # A cluster that was another agent's need not have an application's role of ours.
            kinds = [kind for kind in _KINDS if kind != APP or (self._place.secrets / kind).is_dir()]
            credentials = [read_credential(self._place, kind) for kind in kinds]
            rows = await self._session.rows(_STORED, ([one.username for one in credentials],))
            stored = {str(name): verifier for name, verifier in rows}
            for credential in credentials:
                verifier = stored.get(credential.username)
                if verifier is not None and not fits(str(verifier), credential.password):
                    await self._change(credential)
            await self._permit_rewind({name for name in stored if name == role_name(self._place, REPLICATION)})
        except PostgresError as error:
            self._not_before = kernel.now() + _RETRY_AFTER_S
            self._log("passwords not brought up to date", error=str(error))
            return
        self._done = stamp

    async def _permit_rewind(self, roles: set[str]) -> None:
        for role in roles:
            for (function,) in await self._session.rows(_MISSING, (list(REWIND_FUNCTIONS), role)):
                await self._session.rows(f"grant execute on function pg_catalog.{function} to {identifier(role)}")
                self._log("permitted for pg_rewind", role=role, function=function)

    async def _change(self, credential: Credential) -> None:
        verifier = literal(scram_verifier(credential.password))
        await self._session.rows(f"alter role {identifier(credential.username)} password {verifier}")
        self._log("password changed", role=credential.username)

    def _stamp(self) -> Stamp:
        """When each password file was last written; None for one that is not there."""
        found: list[int | None] = []
        for kind in _KINDS:
            try:
                found.append((self._place.secrets / kind / "password").stat().st_mtime_ns)
            except OSError:
                found.append(None)
        return tuple(found)


def fits(verifier: str, password: str) -> bool:
    """Whether a stored verifier is this password's. One of another method or of other iterations is not."""
    parts = verifier.split("$")
    if len(parts) != 3 or ":" not in parts[_SALT_PART]:
        return False
    try:
        salt = base64.b64decode(parts[_SALT_PART].partition(":")[2], validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(scram_verifier(password, salt), verifier)
