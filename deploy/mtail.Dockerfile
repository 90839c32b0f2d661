# Debian's mtail, as nginx's user: the two share a volume.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends mtail && rm -rf /var/lib/apt/lists/*
USER 101:101
