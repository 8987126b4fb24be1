# One image for all processes of reachq; docker-compose.yml sets the process of each container.
FROM python:3.11-slim-bookworm

# The tools with which the bench loads the routers' facts. The other processes do not need them.
RUN apt-get update \
    && apt-get install -y --no-install-recommends iproute2 nftables iptables ipset \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /srv/reachq
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# requirements-dev.lock is not copied: the image has no development tools.
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock

COPY Procfile ./
COPY app ./app
COPY compat_dispatcher ./compat_dispatcher
COPY dscp ./dscp
COPY ledger ./ledger
COPY netlab ./netlab
COPY networks ./networks
COPY workers ./workers
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .

# All processes except the bench and the workers run as this user. Both folders are volumes, which get their owner and mode from here.
RUN useradd --system --uid 10001 --user-group --no-create-home reachq \
    && install -d -o reachq -g reachq -m 0750 /var/lib/reachq \
    && install -d -o reachq -g reachq -m 0770 /run/reachq
ENV REACHQ_DATA=/var/lib/reachq
USER reachq

CMD ["python", "-m", "app"]
