-- What snapshots_service, the role of deploy/roles.sql, may do. Every migration run ends with this file, so it works
-- whichever came first, the role or the tables. A table that is not named here is closed to the service.

GRANT SELECT ON schema_migrations TO snapshots_service;
GRANT SELECT, INSERT ON accounts, balance_snapshots TO snapshots_service;
GRANT SELECT ON superseded_snapshots TO snapshots_service;
GRANT EXECUTE ON FUNCTION hold_accounts, supersede_snapshots TO snapshots_service;
