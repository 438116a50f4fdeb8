package postgres_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

var updateSchema = flag.Bool("update", false, "write schema.sql from the migrated database")

const schemaFile = "schema.sql"

const schemaHead = `-- The schema as all migrations leave it, for reading. It is written from the catalogue
-- of a migrated database by
--   go run ./internal/embedded/cmd/withpostgres -- go test -run TheSchemaIsWrittenDown ./internal/postgres -update
-- and compared with it by the same test. To change it, add a migration. The numbers of states and kinds are those
-- of the Go constants that names.go lists; migrations/0007_walls.sql says what each policy lets through.
`

// schemaTables returns a row for each table, with its definition, indexes, triggers, policies and grants.
const schemaTables = `
	SELECT format(E'\nCREATE TABLE %I (\n', c.relname)
		|| (SELECT string_agg('  ' || line, E',\n' ORDER BY sort, line COLLATE "C")
			FROM (` + schemaColumns + `
				UNION ALL ` + schemaConstraints + `) lines)
		|| E'\n)' || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') || E';\n'
		|| coalesce((` + schemaIndexes + `), '')
		|| coalesce((` + schemaTriggers + `), '')
		|| CASE WHEN c.relrowsecurity THEN format(E'ALTER TABLE %I ENABLE ROW LEVEL SECURITY;\n', c.relname) ELSE '' END
		|| CASE WHEN c.relforcerowsecurity THEN format(E'ALTER TABLE %I FORCE ROW LEVEL SECURITY;\n', c.relname) ELSE '' END
		|| coalesce((` + schemaPolicies + `), '')
		|| coalesce((` + schemaGrants + `), '')
	FROM pg_class c
	WHERE c.relnamespace = 'platforma'::regnamespace AND c.relkind IN ('r', 'p')
	ORDER BY c.relname COLLATE "C"`

// The subqueries for the parts of one table, which is c.
const (
	schemaColumns = `
		SELECT a.attnum::int AS sort, concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
			CASE WHEN l.collname = 'C' THEN 'COLLATE "C"' END,
			CASE WHEN a.attnotnull THEN 'NOT NULL' END,
			CASE WHEN a.attidentity = 'a' THEN 'GENERATED ALWAYS AS IDENTITY' END,
			CASE a.attgenerated WHEN 's' THEN 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') STORED'
				ELSE 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END) AS line
		FROM pg_attribute a
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		LEFT JOIN pg_collation l ON l.oid = a.attcollation
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`
	schemaConstraints = `
		SELECT 10000 + position(k.contype::text IN 'pufcx'),
			'CONSTRAINT ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
		FROM pg_constraint k
		WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f', 'c', 'x')`
	schemaIndexes = `
		SELECT string_agg(replace(pg_get_indexdef(i.indexrelid), ' ON platforma.', ' ON ') || E';\n', ''
			ORDER BY n.relname COLLATE "C")
		FROM pg_index i
		JOIN pg_class n ON n.oid = i.indexrelid
		WHERE i.indrelid = c.oid
			AND NOT EXISTS (
				SELECT FROM pg_constraint k
				WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x'))`
	schemaTriggers = `
		SELECT string_agg(replace(pg_get_triggerdef(g.oid), ' ON platforma.', ' ON ') || E';\n', ''
			ORDER BY g.tgname COLLATE "C")
		FROM pg_trigger g
		WHERE g.tgrelid = c.oid AND NOT g.tgisinternal`
	schemaPolicies = `
		SELECT string_agg(format(E'CREATE POLICY %I ON %I FOR %s TO %s;\n',
			p.policyname, p.tablename, p.cmd, array_to_string(p.roles, ', ')), '' ORDER BY p.policyname COLLATE "C")
		FROM pg_policies p
		WHERE p.schemaname = 'platforma' AND p.tablename = c.relname`
	schemaGrants = `
		SELECT string_agg(format(E'GRANT %s ON %I TO %s;\n', may, c.relname, logins), '' ORDER BY may, logins)
		FROM (
			SELECT may, string_agg(login, ', ' ORDER BY login) AS logins
			FROM (
				SELECT x.grantee::regrole::text AS login,
					string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS may
				FROM aclexplode(c.relacl) x
				WHERE x.grantee <> c.relowner
				GROUP BY 1
				UNION ALL
				SELECT x.grantee::regrole::text,
					x.privilege_type || ' (' || string_agg(a.attname, ', ' ORDER BY a.attnum) || ')'
				FROM pg_attribute a
				CROSS JOIN LATERAL aclexplode(a.attacl) x
				WHERE a.attrelid = c.oid AND x.grantee <> c.relowner
				GROUP BY 1, x.privilege_type) g
			GROUP BY may) h`
)

// schemaFunctions returns a row for each function and procedure, without its body but with its grants.
const schemaFunctions = `
	SELECT format(E'\n-- %s %s(%s)%s, language %s%s, owner %s\n', kind, f.proname,
			pg_get_function_identity_arguments(f.oid),
			coalesce(' returns ' || pg_get_function_result(f.oid), ''), l.lanname,
			CASE WHEN f.prosecdef THEN ', with the rights of its owner' ELSE '' END, f.proowner::regrole)
		|| coalesce((
			SELECT format(E'GRANT EXECUTE ON %s %I TO %s;\n', upper(kind), f.proname,
				string_agg(x.grantee::regrole::text, ', ' ORDER BY x.grantee::regrole::text))
			FROM aclexplode(f.proacl) x
			WHERE x.grantee <> f.proowner
			HAVING count(*) > 0), '')
	FROM (SELECT p.*, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind FROM pg_proc p) f
	JOIN pg_language l ON l.oid = f.prolang
	WHERE f.pronamespace = 'platforma'::regnamespace
	ORDER BY f.proname COLLATE "C"`

func TestTheSchemaIsWrittenDown(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t).Super(t)
	var b strings.Builder
	b.WriteString(schemaHead)
	for _, sql := range []string{schemaTables, schemaFunctions} {
		rows, _ := c.Query(t.Context(), sql)
		parts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			b.WriteString(p)
		}
	}
	if *updateSchema {
		if err := os.WriteFile(schemaFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("schema.sql is out of date; its first lines say how to update it (-written +migrated):\n%s", diff)
	}
}
