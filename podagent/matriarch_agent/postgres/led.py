"""Remembering on the volume which timeline this member itself wrote as a primary.

Kept beside the data directory, so that a copy of another member's data does not bring that member's memory along.
"""

from __future__ import annotations

import json
import os

from matriarch.ha.view import ControlData
from matriarch_agent.postgres.place import Place

_FILE = ".matriarch.led"


def led_timeline(place: Place, control: ControlData | None) -> int | None:
    """The last timeline that this member led on its present data."""
    if control is None:
        return None
    if control.was_primary:
        return control.timeline
    try:
        noted = json.loads((place.volume / _FILE).read_text())
        return int(noted["timeline"]) if noted["sysid"] == control.sysid else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_led(place: Place, control: ControlData) -> None:
    """Write it down before the server starts in recovery, after which the control file does not tell any more."""
    if not control.was_primary:
        return
    path = place.volume / _FILE
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", encoding="ascii") as file:
        json.dump({"sysid": control.sysid, "timeline": control.timeline}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def forget_led(place: Place) -> None:
    """The data is another member's now."""
    (place.volume / _FILE).unlink(missing_ok=True)
