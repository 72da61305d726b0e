"""What a standby needs so that it may start: at least the shared memory that its primary had."""

from __future__ import annotations

from collections.abc import Mapping

from matriarch.config.quantities import Quantity, parse_quantity
from matriarch.words.parameters import SHARED_MEMORY


def raised_to(values: Mapping[str, str], least: Mapping[str, int]) -> dict[str, str]:
    """What of `values` has to be raised so that a standby may start: `least` is what its control file says."""
    raised = {}
    for name in SHARED_MEMORY:
        number = parse_quantity(values.get(name, ""), Quantity.COUNT)
        if name in least and (number is None or number < least[name]):
            raised[name] = str(least[name])
    return raised
