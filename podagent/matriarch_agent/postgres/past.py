"""What the control file does not tell of a member's own past: whether it led, and whether its data was ever used.

Kept on the volume beside the data directory, so that a copy of another member's data does not bring that member's
memory along; each note names the system identifier that it is about. What writes or removes a note raises
PostgresError.
"""

from __future__ import annotations

import json

from matriarch.ha.view import ControlData
from matriarch_agent.files import remove_file, replace_file
from matriarch_agent.postgres.place import Place

_LED = ".matriarch.led"
_UNBORN = ".matriarch.unborn"
_REWOUND = ".matriarch.rewound"


def led_timeline(place: Place, control: ControlData | None) -> int | None:
    """The last timeline that this member led on its present data."""
    if control is None:
        return None
    if control.was_primary:
        return control.timeline
    noted = _read(place, _LED)
    timeline = noted.get("timeline")
    return timeline if noted.get("sysid") == control.sysid and isinstance(timeline, int) else None


def note_led(place: Place, control: ControlData) -> None:
    """Write it down before the server starts in recovery, after which the control file does not tell any more."""
    if not control.was_primary:
        return
    _write(place, _LED, {"sysid": control.sysid, "timeline": control.timeline})


def forget_led(place: Place) -> None:
    """The data is another member's now."""
    remove_file(place.volume / _LED, durable=False)


def unborn(place: Place, control: ControlData | None) -> bool:
    """Whether this member initialised the data and has never started it as a primary: no commit can be in it."""
    return control is not None and _read(place, _UNBORN).get("sysid") == control.sysid


def note_unborn(place: Place, sysid: str) -> None:
    """Write down, before the new directory is put in place, that nobody has used it."""
    _write(place, _UNBORN, {"sysid": sysid})


def note_born(place: Place) -> None:
    """Before the first start as a primary. Durable, so that used data never counts as unused."""
    remove_file(place.volume / _UNBORN, durable=True)


def unproven(place: Place, control: ControlData | None) -> bool:
    """Whether the data was rewound and no server has come up on it since."""
    return control is not None and _read(place, _REWOUND).get("sysid") == control.sysid


def note_rewound(place: Place, sysid: str) -> None:
    """Write down that the data may need more WAL than it has."""
    _write(place, _REWOUND, {"sysid": sysid})


def forget_rewound(place: Place) -> None:
    """A server has come up on the data, or it is another member's now."""
    remove_file(place.volume / _REWOUND, durable=False)


def _read(place: Place, name: str) -> dict[str, object]:
    try:
        noted = json.loads((place.volume / name).read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _write(place: Place, name: str, note: dict[str, object]) -> None:
    replace_file(place.volume / name, json.dumps(note), durable=True)
