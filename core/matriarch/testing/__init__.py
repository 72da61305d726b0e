"""The public test kit: virtual time, fake Kubernetes API, fake Postgres, fake network."""
