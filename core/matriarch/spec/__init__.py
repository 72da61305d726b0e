"""The PostgresCluster resource as one typed model."""
