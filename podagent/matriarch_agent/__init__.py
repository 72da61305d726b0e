"""The agent: Postgres' parent in every database pod."""
