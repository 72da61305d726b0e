"""The one tree of errors. Adapters translate what their libraries raise into it, at one place each.

MatriarchError
├── TransientError            try again, with backoff
│   ├── Unavailable           the other side did not answer, or answered 5xx; a write may or may not have happened
│   ├── Throttled             the API server asked us to slow down (429); nothing happened
│   └── DeadlineSpent         our own time budget ran out; a write may or may not have happened
├── ConflictError             the world moved (409): observe again, never repeat blindly
│   └── AlreadyExists         a create met an object of that name
├── RefusedError              repeating will not help: becomes a condition or an event
│   ├── NotFound              404
│   ├── Gone                  410: the watch's version is too old; list again
│   ├── Forbidden             401 or 403
│   └── Invalid               400, 405, 413, 415 or 422: the request itself is wrong
└── PostgresError             Postgres or one of its programs failed
    ├── NotRunning            there is no server to talk to
    ├── QueryFailed           the server answered with an error, or not in time
    └── ProgramFailed         initdb, pg_basebackup, pg_rewind, ... ended with an error
"""

from __future__ import annotations


class MatriarchError(Exception):
    """Base of every error that Matriarch raises on purpose."""


class TransientError(MatriarchError):
    """May succeed when tried again later."""


class Unavailable(TransientError):
    """No usable answer. For a write the outcome is unknown."""


class Throttled(TransientError):
    """Refused for now; nothing happened.

    `retry_after_s` is what the server asked for, in seconds.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineSpent(TransientError):
    """The caller's time budget is used up. For a write the outcome is unknown."""


class ConflictError(MatriarchError):
    """The object changed since it was read: compare-and-swap lost. Nothing was written by this call."""


class AlreadyExists(ConflictError):
    """A create met an object with that name."""


class RefusedError(MatriarchError):
    """Will not get better by repeating."""


class NotFound(RefusedError):
    """The object does not exist."""


class Gone(RefusedError):
    """The requested resourceVersion is no longer served; list again."""


class Forbidden(RefusedError):
    """Not allowed (401 or 403)."""


class Invalid(RefusedError):
    """The request is wrong; the message says where."""


class PostgresError(MatriarchError):
    """Postgres or one of its programs failed."""


class NotRunning(PostgresError):
    """There is no server to talk to."""


class QueryFailed(PostgresError):
    """The server answered with an error, or not in time."""


class ProgramFailed(PostgresError):
    """A Postgres program ended with an error; the message holds the end of what it printed, without secrets."""
