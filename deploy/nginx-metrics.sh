#!/bin/sh
# Count nginx's responses for Prometheus: nginx-metrics.sh STATUS_LOG [OPTION OF MTAIL ...]
set -eu
status_log=$1
shift
# A tick every second creates each series before its first response. The log is emptied at 8 MB, so that it never fills
# its volume; lines that mtail has not read by then are lost.
while sleep 1 && kill -0 $$ 2>/dev/null; do
    echo tick >> "$status_log"
    [ "$(wc -c < "$status_log")" -lt 8000000 ] || : > "$status_log"
done &
exec mtail --logtostderr --emit_prog_label=false --progs "$(dirname "$0")/nginx.mtail" --logs "$status_log" "$@"
