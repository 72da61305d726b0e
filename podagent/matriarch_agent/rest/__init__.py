"""The agent's REST API."""

from matriarch_agent.rest.face import Counters, Face, SettingsSource
from matriarch_agent.rest.server import RestServer

__all__ = ["Counters", "Face", "RestServer", "SettingsSource"]
