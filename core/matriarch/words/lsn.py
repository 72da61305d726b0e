"""Log sequence numbers: WAL positions in bytes.

Inside the program an LSN is an int; Postgres prints it as two hexadecimal halves, `16/B374D848`.
"""

from __future__ import annotations

import re

_TEXT = re.compile(r"\A([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})\Z")


def parse_lsn(text: str) -> int:
    """Bytes for Postgres' textual form. Raises ValueError for anything else."""
    match = _TEXT.match(text)
    if match is None:
        raise ValueError(f"not an LSN: {text!r}")
    return int(match[1], 16) << 32 | int(match[2], 16)


def format_lsn(lsn: int) -> str:
    """Postgres' textual form of a position in bytes."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
