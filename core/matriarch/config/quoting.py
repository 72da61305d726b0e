"""Putting hostile text into Postgres' configuration files, connection strings and SQL, and keeping it there."""

from __future__ import annotations

from matriarch.words.errors import Invalid


def conf_value(text: str) -> str:
    """A value for postgresql.conf, in quotes. Raises Invalid for what such a file cannot carry.

    The file's lexer ends a string at a line's end and reads backslash escapes in it, so both are written as escapes.
    """
    check_printable(text, allow="\n\t")
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\t", "\\t")
    return f"'{escaped}'"


def conninfo(options: dict[str, str]) -> str:
    """A libpq connection string `key='value' …`. Raises Invalid for a NUL or a control character in a value."""
    return " ".join(f"{key}={_conninfo_value(value)}" for key, value in options.items())


def identifier(name: str) -> str:
    """A double-quoted SQL identifier."""
    check_printable(name)
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A single-quoted SQL string, safe with standard_conforming_strings on (the default since 9.1)."""
    check_printable(text)
    return "'" + text.replace("'", "''") + "'"


def passfile_field(text: str) -> str:
    """A field of a libpq password file."""
    check_printable(text)
    return text.replace("\\", "\\\\").replace(":", "\\:")


def check_printable(text: str, *, allow: str = "") -> None:
    """Raises Invalid when a control character other than `allow` is in the text. The text itself is not repeated."""
    bad = next((char for char in text if (ord(char) < 0x20 or ord(char) == 0x7F) and char not in allow), None)
    if bad is not None:
        raise Invalid(f"control character U+{ord(bad):04X} is not allowed")


def _conninfo_value(value: str) -> str:
    check_printable(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
