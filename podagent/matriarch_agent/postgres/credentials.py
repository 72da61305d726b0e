"""Roles' names and passwords from the mounted Secrets, read again at each use so that a rotation is followed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from matriarch.config.quoting import passfile_field
from matriarch.words.errors import PostgresError
from matriarch_agent.files import replace_file
from matriarch_agent.postgres.place import Place

SUPERUSER = "superuser"
REPLICATION = "replication"
APP = "app"
_USUAL_NAMES = {SUPERUSER: "postgres", REPLICATION: "replicator", APP: "app"}
_ITERATIONS = 4096
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Credential:
    """A role and its password, which never appears in a representation."""

    username: str
    password: str = field(repr=False)


def read_credential(place: Place, kind: str) -> Credential:
    """Raises PostgresError when the password cannot be read: a missing Secret is never an empty password."""
    folder = place.secrets / kind
    username = role_name(place, kind)
    password = _read(folder / "password")
    if not password:
        raise PostgresError(f"the Secret with the password of {username!r} is not there: {folder}/password")
    return Credential(username, password)


def role_name(place: Place, kind: str) -> str:
    """A role's name, as its Secret tells; the usual one while that does not."""
    return _read(place.secrets / kind / "username") or place.roles.get(kind) or _USUAL_NAMES[kind]


def write_passfile(place: Place) -> None:
    """Bring libpq's password file up to date with the replication Secret. Keeps the old one when it cannot be read.
    Raises PostgresError."""
    credential = read_credential(place, REPLICATION)
    text = f"*:*:*:{passfile_field(credential.username)}:{passfile_field(credential.password)}\n"
    if _read(place.passfile) != text.rstrip("\r\n"):
        replace_file(place.passfile, text, durable=False)


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """What Postgres stores for a SCRAM-SHA-256 password (RFC 5802): sent instead of it, so that it is in no log."""
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def _prepared(password: str) -> bytes:
    """SASLprep (RFC 4013) as far as Postgres does it; a password that it refuses is used as it is."""
    if password.isascii():
        return password.encode()
    import stringprep  # tables of a megabyte that hardly anybody needs
    import unicodedata

    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in password if not stringprep.in_table_b1(char)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    refused = any(stringprep.in_table_c21_c22(char) or stringprep.in_table_a1(char) for char in normal)
    return (password if refused or not normal else normal).encode()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        return ""
