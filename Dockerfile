# syntax=docker/dockerfile:1
# One image for everything of PariVision: API, dashboard, portal, feed, exporter, hook, schedule and the MLflow server.
# compose.yaml and deployment/kubernetes say which command each container runs.
#
#   docker build -t parivision:0.1.0 .
#
# The base is pinned by its exact version. To pin it by digest too, which also keeps a moved tag out:
#   docker build --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:… .
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# hadolint ignore=DL3006 -- the version is in the argument above
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY pyproject.toml requirements.txt ./
COPY deployment/lock_without_tests.py deployment/
# The same versions and hashes as everywhere, without what only the tests need.
RUN python deployment/lock_without_tests.py pyproject.toml requirements.txt > /requirements.txt \
    && python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --require-hashes --only-binary :all: -r /requirements.txt

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS parivision
LABEL org.opencontainers.image.title="PariVision" \
      org.opencontainers.image.description="How likely is an NBA shot to go in, how sure are we, and what is it worth?"
# Number 10001 belongs to nobody on a usual host. The folders are made here because a new volume takes over their owner.
RUN groupadd --gid 10001 parivision \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin parivision \
    && install -d -o 10001 -g 10001 -m 0750 /srv/data /srv/mlflow \
    && install -d -o 10001 -g 10001 -m 0755 /srv/reports /srv/metrics
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
COPY --from=packages /requirements.txt requirements.txt
# Without a network: everything that the package needs is there. /app/reports is a link, so that reports are kept in a
# volume wherever a parameter says "reports". Byte code now, since the root is read-only later; a few packages carry
# templates that are no valid Python, which compileall calls a failure.
RUN /opt/venv/bin/python -m pip install --no-cache-dir --no-deps --no-index --no-build-isolation -e . \
    && rm -rf reports && ln -s /srv/reports reports \
    && { /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib scripts > /dev/null || true; } \
    && parivision_is=$(/opt/venv/bin/parivision --version) && echo "$parivision_is"
ENV PATH=/app/deployment/bin:/opt/venv/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    PARIVISION_HOME=/app \
    PARIVISION_DATA_DIR=/srv/data \
    PARIVISION_METRICS_DIR=/srv/metrics \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
STOPSIGNAL SIGTERM
# Asks the address in PARIVISION_HEALTH_URL; a container without one is well as long as it runs.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["python", "-I", "/app/deployment/healthcheck.py"]
ENTRYPOINT ["/app/deployment/entrypoint"]
CMD ["parivision", "--help"]
