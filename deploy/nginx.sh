#!/bin/sh
# Fill in nginx.conf from the environment and run nginx: nginx.sh FOLDER [OPTION OF NGINX ...]
#   LISTEN            the public address: "8000", or "8443 ssl" with certificates in site/
#   INTERNAL_LISTEN   the address of /metrics, /readyz and /healthz; keep it from the public
#   UPSTREAM          gunicorn: unix:/run/service/service.sock
#   PROBLEM_BASE_URL  the same as the service's
#   STATUS_LOG        a file for nginx.mtail, or /dev/null
set -eu
: "${LISTEN:?}" "${INTERNAL_LISTEN:?}" "${UPSTREAM:?}" "${PROBLEM_BASE_URL:?}" "${STATUS_LOG:?}"
deploy=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift
export SITE="$deploy/site"
# Single quotes, because envsubst needs these names. All other names in the file are nginx's own.
envsubst '${LISTEN} ${INTERNAL_LISTEN} ${UPSTREAM} ${PROBLEM_BASE_URL} ${STATUS_LOG} ${SITE}' \
    < "$deploy/nginx.conf" > "$folder/nginx.conf"
globals="daemon off;"
# If started as root, nginx would run its workers as a user who cannot enter the folder.
[ "$(id -u)" -ne 0 ] || globals="$globals user root;"
exec nginx -p "$folder" -c nginx.conf -e stderr -g "$globals" "$@"
