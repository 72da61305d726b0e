"""The real agents on virtual time, in a world of members, API server, network and Postgres that a seed drives."""
