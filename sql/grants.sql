-- The privileges of snapshots_service, the role of deploy/roles.sql. Every migration run ends with this file, so the order
-- of creating the role and the tables does not matter. The service may not use a table or view that is not named here.

GRANT SELECT ON schema_migrations TO snapshots_service;
GRANT SELECT, INSERT ON accounts, balance_snapshots TO snapshots_service;
GRANT SELECT ON superseded_snapshots TO snapshots_service;
GRANT SELECT ON comparable_snapshots, comparable_superseded_snapshots TO snapshots_service;
GRANT SELECT ON formatted_snapshots_v1, formatted_superseded_snapshots_v1 TO snapshots_service;
GRANT EXECUTE ON FUNCTION hold_accounts, supersede_snapshots TO snapshots_service;
