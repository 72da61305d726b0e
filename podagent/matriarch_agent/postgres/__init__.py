"""The agent's hands on a real Postgres."""
