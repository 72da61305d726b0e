"""Programs that were made for Patroni, run as a person or a load balancer would run them."""
