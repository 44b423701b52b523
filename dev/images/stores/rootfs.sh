#!/bin/sh
# Writes a tar of one small Debian root file system with PostgreSQL, Redis and RabbitMQ to the file named by $1.
set -eu
excludes='
  /usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/i18n/* /usr/share/lintian/*
  /usr/lib/postgresql/15/lib/bitcode/* /usr/lib/postgresql/15/lib/llvmjit* /usr/lib/x86_64-linux-gnu/libLLVM*
'
set -f
for pattern in $excludes; do set -- "$@" "--dpkgopt=path-exclude=$pattern"; done
output=$1
shift
# The container's user needs a name: initdb refuses to run for a user id that /etc/passwd does not list.
# Debian's package has made a database cluster of its own, which no container uses.
exec mmdebstrap --quiet --variant=essential --mode=root --format=tar \
  --include=postgresql-15,redis-server,rabbitmq-server "$@" \
  --customize-hook='echo "store:x:999:999::/tmp:/usr/sbin/nologin" >> "$1/etc/passwd"' \
  --customize-hook='echo "store:x:999:" >> "$1/etc/group"' \
  --customize-hook='rm -rf "$1/var/lib/postgresql" "$1/var/log/postgresql" "$1/etc/postgresql" && mkdir -p "$1/var/lib/postgresql"' \
  --customize-hook='rm -rf "$1"/var/cache/* "$1"/var/log/*.log "$1"/var/lib/apt/lists' \
  --customize-hook='mkdir -p "$1/data/db"' \
  bookworm "$output"
