#!/bin/sh
# Fill in nginx.conf from the environment and run nginx: nginx.sh FOLDER [OPTION OF NGINX ...]
#   LISTEN            the public address: "8000", or "8443 ssl" with certificates in site/
#   INTERNAL_LISTEN   the address of /metrics, /readyz and /healthz; never expose it to the public
#   UPSTREAM          gunicorn: unix:/run/service/service.sock
#   PROBLEM_BASE_URL  the same as the service's
#   STATUS_LOG        a file for nginx.mtail, or /dev/null
#   CORS_ORIGINS      the same as the service's; optional
#   WORKERS           workers of gunicorn; one for each core by default, as in a service with REDIS_URL
set -euf
: "${LISTEN:?}" "${INTERNAL_LISTEN:?}" "${UPSTREAM:?}" "${PROBLEM_BASE_URL:?}" "${STATUS_LOG:?}"
deploy=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift
export SITE="$deploy/site"
workers=${WORKERS:-$(nproc)}
export MAX_READS=$((12 * workers)) MAX_CAPTURES=$((4 * workers))
export CORS_ORIGIN_MAP="" CORS_VARY=""
for origin in $(printf %s "${CORS_ORIGINS-}" | tr , ' '); do
    # The service refuses these too, but nginx may start first, and would read them as directives.
    case $origin in *[!a-z0-9.:/_-]*)
        echo "CORS_ORIGINS: '$origin' is not an origin like https://app.example.com." >&2
        exit 1
    esac
    # nginx does not start if an origin occurs twice.
    case $CORS_ORIGIN_MAP in *"\"$origin\" "*) continue ;; esac
    CORS_ORIGIN_MAP="$CORS_ORIGIN_MAP\"$origin\" \"$origin\"; "
    CORS_VARY=Origin
done
# Single quotes, because envsubst needs these names. All other names in the file are nginx's own.
envsubst '${LISTEN} ${INTERNAL_LISTEN} ${UPSTREAM} ${PROBLEM_BASE_URL} ${STATUS_LOG} ${SITE} ${CORS_ORIGIN_MAP} ${CORS_VARY} ${MAX_READS} ${MAX_CAPTURES}' \
    < "$deploy/nginx.conf" > "$folder/nginx.conf"
globals="daemon off;"
# If started as root, nginx would run its workers as a user who cannot enter the folder.
[ "$(id -u)" -ne 0 ] || globals="$globals user root;"
exec nginx -p "$folder" -c nginx.conf -e stderr -g "$globals" "$@"
