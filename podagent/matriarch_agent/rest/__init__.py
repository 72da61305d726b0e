"""The agent's REST API."""
