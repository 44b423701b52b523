#!/bin/sh
# One entrypoint for the four stores, with the interface of the official images: the same commands, the same environment,
# any user id, a read-only root file system.
set -eu

# `args: [-c, max_connections=200]` means the image's own server, as it does upstream.
case "${1:-}" in
  '' | -*) set -- "$STORE" "$@" ;;
  *.conf) set -- redis-server "$@" ;;
esac

make_database_cluster() {
  : "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD must be set}"
  POSTGRES_USER=${POSTGRES_USER:-postgres}
  mkdir -p "$(dirname "$PGDATA")"
  # A killed first start must not leave half a cluster that the second start takes for a whole one.
  rm -rf "$PGDATA.new"
  password_file=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" > "$password_file"
  # shellcheck disable=SC2086 # several arguments in one variable, as upstream
  initdb --pgdata "$PGDATA.new" --username "$POSTGRES_USER" --pwfile "$password_file" \
    --encoding UTF8 --locale C.UTF-8 --auth-local trust --auth-host scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  rm "$password_file"
  echo 'host all all all scram-sha-256' >> "$PGDATA.new/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA.new/postgresql.conf"
  if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA.new" postgres > /dev/null
  fi
  rmdir "$PGDATA" 2> /dev/null || true
  mv "$PGDATA.new" "$PGDATA"
}

# FerretDB speaks MongoDB's protocol. Of the flags of mongod it is given what it can do: TLS, and then nothing else.
run_mongodb() {
  export FERRETDB_HANDLER=sqlite FERRETDB_SQLITE_URL=file:/data/db/ FERRETDB_STATE_DIR=/data/db
  export FERRETDB_DEBUG_ADDR=127.0.0.1:8088 FERRETDB_TELEMETRY=disable
  certificate=
  while [ $# -gt 0 ]; do
    if [ "$1" = --tlsCertificateKeyFile ]; then certificate=$2; fi
    shift
  done
  if [ -n "${MONGO_INITDB_ROOT_USERNAME:-}" ]; then
    export FERRETDB_TEST_ENABLE_NEW_AUTH=true FERRETDB_SETUP_DATABASE=admin
    export FERRETDB_SETUP_USERNAME="$MONGO_INITDB_ROOT_USERNAME" FERRETDB_SETUP_PASSWORD="$MONGO_INITDB_ROOT_PASSWORD"
  fi
  if [ -n "$certificate" ]; then
    exec ferretdb --listen-addr= --listen-tls=0.0.0.0:27017 \
      --listen-tls-cert-file="$certificate" --listen-tls-key-file="$certificate"
  fi
  exec ferretdb --listen-addr=0.0.0.0:27017
}

case "$1" in
  postgres)
    [ -s "$PGDATA/PG_VERSION" ] || make_database_cluster
    exec "$@"
    ;;
  mongod) run_mongodb "$@" ;;
  *) exec "$@" ;;
esac
