#!/bin/sh
# Gives the two roles of roles.sql the passwords that the URLs in their secrets hold. Run once, by the postgres image.
set -eu
for role in owner service; do
    url=$(cat "/run/secrets/${role}_url")
    password=${url#*://*:}
    psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --set "password=${password%%@*}" <<SQL
ALTER ROLE snapshots_$role PASSWORD :'password';
SQL
done
