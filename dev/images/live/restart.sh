#!/bin/sh
# Runs the program from a place live update can write to (the root file system is read-only), and again whenever
# `/tmp/live/restart` is touched. SIGTERM reaches the program, so a pod still drains.
set -u

# A migration Job runs once and ends.
[ "${1:-serve}" = serve ] || exec /program "$@"

mkdir -p /tmp/live
cp /program /tmp/live/program
touch /tmp/live/restart

child=
trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; exit' TERM INT

while :; do
    /tmp/live/program "$@" &
    child=$!
    touch /tmp/live/started
    while kill -0 "$child" 2>/dev/null && [ ! /tmp/live/restart -nt /tmp/live/started ]; do
        sleep 1
    done
    kill -TERM "$child" 2>/dev/null
    wait "$child"
done
