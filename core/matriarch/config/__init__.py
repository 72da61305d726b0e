"""Postgres configuration files as pure functions of the cluster settings."""
