package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// fixedVersions are the first releases of each major version without CVE-2025-8713, by which statistics reveal
// rows that row-level security hides. Later major versions have the fix from their first release.
var fixedVersions = map[int]int{15: 150014, 16: 160010, 17: 170006}

// selfTest returns an error if the tenant walls are not in force (ADR 0005). The error is one sentence that says
// what to correct.
func selfTest(ctx context.Context, conn *pgx.Conn, login string) error {
	var user string
	var version int
	row := conn.QueryRow(ctx, `SELECT current_user, current_setting('server_version_num')::int`)
	if err := row.Scan(&user, &version); err != nil {
		return fmt.Errorf("ask the server for our login and its version: %w", err)
	}
	if user != login {
		return fmt.Errorf("logged in as %s where %s is needed: give this process the address of that login", user, login)
	}
	if fixed, known := fixedVersions[version/10000]; version < 150014 || known && version < fixed {
		return fmt.Errorf("server version %d.%d leaks through row-level security (CVE-2025-8713): update to 15.14, 16.10, "+
			"17.6 or later", version/10000, version%10000)
	}
	checks := []struct{ sql, refusal string }{
		{
			`SELECT current_database()::text WHERE to_regnamespace('platforma') IS NULL`,
			"database %v has no tables of the product: run platforma migrate",
		},
		{
			`SELECT rolname::text
			FROM pg_roles
			WHERE pg_has_role(current_user, oid, 'member')
				AND (rolsuper OR rolbypassrls OR oid IN (
					SELECT relowner FROM pg_class WHERE relnamespace = 'platforma'::regnamespace))`,
			login + " is, or is a member of, roles that bypass row-level security: revoke %v",
		},
		{
			`SELECT c.oid::regclass::text
			FROM pg_class c
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
			WHERE c.relkind IN ('r', 'p')
				AND c.relnamespace = 'platforma'::regnamespace
				AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`,
			"tables without ENABLE and FORCE ROW LEVEL SECURITY: %v",
		},
		{
			`SELECT c.oid::regclass::text
			FROM pg_class c
			WHERE c.relnamespace = 'platforma'::regnamespace
				AND c.relkind IN ('r', 'p', 'm')
				AND (has_table_privilege(c.oid, 'TRUNCATE')
					OR has_table_privilege(c.oid, 'REFERENCES')
					OR has_table_privilege(c.oid, 'TRIGGER')
					OR (c.relkind = 'm' AND has_table_privilege(c.oid, 'SELECT')))`,
			login + " holds TRUNCATE, REFERENCES or TRIGGER (or a materialized view): revoke it on %v",
		},
	}
	for _, c := range checks {
		rows, _ := conn.Query(ctx, c.sql) // CollectRows returns its error
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("self-test of login %s: %w", login, err)
		}
		if len(found) > 0 {
			slices.Sort(found)
			return fmt.Errorf(c.refusal, found)
		}
	}
	return nil
}
