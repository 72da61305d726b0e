# Two images from one file:  docker build --target postgres …   docker build --target operator …
ARG BASE_IMAGE=debian:trixie-slim

# --- Python packages, locked with hashes; nothing of this stage's tools reaches the images ---------------------------
FROM ${BASE_IMAGE} AS python
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/matriarch
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

FROM python AS agent-packages
COPY requirements/agent.txt /build/
RUN /opt/matriarch/bin/pip install -q --require-hashes --only-binary :all: -r /build/agent.txt \
 && /opt/matriarch/bin/pip uninstall -q -y pip \
 && ln -s "$(ls -d /opt/matriarch/lib/python3*/site-packages)" /opt/matriarch/site
COPY core/matriarch /opt/matriarch/site/matriarch
COPY podagent/matriarch_agent /opt/matriarch/site/matriarch_agent
# The root filesystem is read-only at run time: compile now. What is asked for by name gets a command.
RUN rm -rf /opt/matriarch/site/matriarch/testing \
 && printf '#!/opt/matriarch/bin/python\nfrom matriarch_agent.init.__main__ import main\n\nmain()\n' > /opt/matriarch/bin/matriarch-init \
 && printf '#!/opt/matriarch/bin/python\nfrom matriarch_agent.__main__ import main\n\nmain()\n' > /opt/matriarch/bin/matriarch-agent \
 && chmod 0755 /opt/matriarch/bin/matriarch-* \
 && /opt/matriarch/bin/python -m compileall -q -j 0 /opt/matriarch/lib

FROM python AS operator-packages
COPY requirements/operator.txt /build/
RUN /opt/matriarch/bin/pip install -q --require-hashes --only-binary :all: -r /build/operator.txt \
 && /opt/matriarch/bin/pip uninstall -q -y pip \
 && ln -s "$(ls -d /opt/matriarch/lib/python3*/site-packages)" /opt/matriarch/site
COPY core/matriarch /opt/matriarch/site/matriarch
COPY operator/matriarch_operator /opt/matriarch/site/matriarch_operator
RUN rm -rf /opt/matriarch/site/matriarch/testing \
 && printf '#!/opt/matriarch/bin/python\nfrom matriarch_operator.__main__ import main\n\nmain()\n' > /opt/matriarch/bin/matriarch-operator \
 && chmod 0755 /opt/matriarch/bin/matriarch-* \
 && /opt/matriarch/bin/python -m compileall -q -j 0 /opt/matriarch/lib

# --- The operator -----------------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS operator
RUN printf 'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\npath-exclude=/usr/share/info/*\n' \
      > /etc/dpkg/dpkg.cfg.d/no-documentation \
 && apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt \
 && groupadd --gid 65532 matriarch \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin matriarch
COPY --from=operator-packages /opt/matriarch /opt/matriarch
ENV PATH=/opt/matriarch/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["matriarch-operator"]

# --- Postgres with the agent -------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS postgres
ARG POSTGRES_VERSION=17
# The account comes first, so that the package takes this one and its number, which the pods' securityContext names.
# Debian's package would create a server of its own. Just-in-time compilation would cost 180 MB of LLVM: it is left out.
RUN printf 'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\npath-exclude=/usr/share/info/*\npath-exclude=/usr/lib/postgresql/*/lib/bitcode/*\n' \
      > /etc/dpkg/dpkg.cfg.d/no-documentation \
 && groupadd --gid 999 postgres \
 && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql --shell /bin/sh postgres \
 && mkdir -p /etc/postgresql-common \
 && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
      ca-certificates pgbackrest "postgresql-${POSTGRES_VERSION}" python3 \
 && rm -rf /usr/lib/*/libLLVM*.so* /usr/lib/*/libz3.so* "/usr/lib/postgresql/${POSTGRES_VERSION}/lib/bitcode" \
      "/usr/lib/postgresql/${POSTGRES_VERSION}/lib/llvmjit.so" "/usr/lib/postgresql/${POSTGRES_VERSION}/lib/llvmjit_types.bc" \
      /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt /var/log/postgresql /var/log/pgbackrest \
      /usr/share/postgresql/*/man /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem \
 && install -d -o 999 -g 999 -m 0700 /var/lib/matriarch /run/matriarch
COPY --from=agent-packages /opt/matriarch /opt/matriarch
ENV PATH=/opt/matriarch/bin:/usr/lib/postgresql/${POSTGRES_VERSION}/bin:/usr/local/bin:/usr/bin:/bin \
    MATRIARCH_PG_BIN=/usr/lib/postgresql/${POSTGRES_VERSION}/bin \
    MATRIARCH_DATA=/var/lib/matriarch \
    MATRIARCH_RUN=/run/matriarch \
    MATRIARCH_SECRETS=/etc/matriarch/secrets \
    PGHOST=/run/matriarch \
    LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 999:999
STOPSIGNAL SIGTERM
EXPOSE 5432 8008
ENTRYPOINT ["matriarch-init"]
