import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from matriarch.words.errors import PostgresError
from matriarch_agent.postgres.credentials import Credential, read_credential, role_name, scram_verifier, write_passfile
from matriarch_agent.postgres.place import Place
from matriarch_agent.postgres.roles import fits


def place_in(folder: Path) -> Place:
    return Place("demo-0", "demo", folder, folder, folder / "secrets", folder)


def test_verifier_is_what_rfc_7677_shows() -> None:
    """User `user`, password `pencil`, its salt and iterations; the signatures of its exchange check out."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    scheme, iterations_and_salt, keys = scram_verifier("pencil", salt).split("$")
    assert (scheme, iterations_and_salt) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    stored, server = (base64.b64decode(part) for part in keys.split(":"))
    first = "n=user,r=rOprNGfwEbeRWgbNEkqO"
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    message = f"{first},r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}".encode()
    signature = hmac.digest(server, message, "sha256")
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_signature = hmac.digest(stored, message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, client_signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored


def test_verifiers_are_salted_and_normalised() -> None:
    assert scram_verifier("x") != scram_verifier("x")
    salt = b"0" * 16
    assert scram_verifier("\u2168", salt) == scram_verifier("IX", salt)
    assert scram_verifier("a\u00adb", salt) == scram_verifier("ab", salt)
    assert scram_verifier("a\u00a0\u00e9", salt) == scram_verifier("a e\u0301", salt)


def test_a_missing_password_is_an_error_and_never_empty(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    with pytest.raises(PostgresError, match="Secret"):
        read_credential(place, "superuser")
    assert role_name(place, "replication") == "replicator"
    with pytest.raises(PostgresError):
        write_passfile(place)
    assert not place.passfile.exists()


def test_rotation_is_followed_and_nothing_shows_a_password(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    folder = place.secrets / "replication"
    folder.mkdir(parents=True)
    (folder / "username").write_text("mirror\n")
    for password in ("one", "t:w\\o"):
        (folder / "password").write_text(password)
        write_passfile(place)
        assert read_credential(place, "replication") == Credential("mirror", password)
    assert place.passfile.read_text() == "*:*:*:mirror:t\\:w\\\\o\n"
    assert place.passfile.stat().st_mode & 0o777 == 0o600
    assert "w\\o" not in repr(read_credential(place, "replication"))


@pytest.mark.parametrize("stored", ["", "md5abc", "SCRAM-SHA-256$4096:%%%$a:b", "a$b$c", scram_verifier("other")])
def test_a_verifier_of_something_else_does_not_fit(stored: str) -> None:
    assert not fits(stored, "password")
    assert fits(scram_verifier("password"), "password")
