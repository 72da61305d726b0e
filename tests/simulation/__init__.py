"""The real agents on virtual time: a world of members, an API server, a network and Postgres servers, driven by a seed."""
