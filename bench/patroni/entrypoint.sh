# Write Patroni's configuration from the environment and become Patroni. Its timing stays at what its samples use.
set -eu
umask 077
cat > /home/postgres/patroni.yml <<YAML
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 10
    retry_timeout: 10
    maximum_lag_on_failover: 1048576
    synchronous_mode: ${BENCH_SYNCHRONOUS:-false}
    postgresql:
      use_pg_rewind: true
      use_slots: true
      pg_hba:
      - local all all trust
      - host all all 0.0.0.0/0 scram-sha-256
      - host replication standby 0.0.0.0/0 scram-sha-256
  initdb:
  - auth-host: scram-sha-256
  - auth-local: trust
  - encoding: UTF8
  - locale: C.UTF-8
  - data-checksums
restapi:
  listen: 0.0.0.0:8008
  connect_address: ${PATRONI_KUBERNETES_POD_IP}:8008
postgresql:
  listen: 0.0.0.0:5432
  connect_address: ${PATRONI_KUBERNETES_POD_IP}:5432
  data_dir: /home/postgres/pgdata/pgroot/data
  pgpass: /tmp/pgpass
  parameters:
    unix_socket_directories: /tmp
    wal_log_hints: "on"
YAML
# A volume's group permissions are widened when a pod is created again, and Postgres refuses those.
if [ -d /home/postgres/pgdata/pgroot/data ]; then chmod 0700 /home/postgres/pgdata/pgroot/data; fi
exec patroni /home/postgres/patroni.yml
