#!/bin/bash
# Give the two roles of roles.sql the passwords of the URLs that migrations and the service connect with. The postgres
# image runs this once, when it creates the database. SECRETS holds the files owner_url and service_url.
set -euo pipefail

for role in owner service; do
    file="${SECRETS:-/run/secrets}/${role}_url"
    url=$(<"$file")
    # As in libpq, the password is the text between the first colon after the scheme and the first @.
    if [[ ! $url =~ ^postgres(ql)?://snapshots_${role}:([^@/]+)@ ]]; then
        echo "$file must hold postgresql://snapshots_${role}:PASSWORD@..." >&2
        exit 1
    fi
    # Percent-decode: %2F becomes \x2F, and printf turns that into a slash.
    encoded=${BASH_REMATCH[2]//\\/\\\\}
    printf -v PASSWORD %b "${encoded//%/\\x}"
    export PASSWORD
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
\getenv password PASSWORD
ALTER ROLE snapshots_$role PASSWORD :'password';
SQL
done
