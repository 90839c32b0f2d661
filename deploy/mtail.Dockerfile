# Debian's mtail, run as nginx's user, because both write to a shared volume.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends mtail && rm -rf /var/lib/apt/lists/*
USER 101:101
