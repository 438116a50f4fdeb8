// Package postgres is the store. It holds the schema and its migrations, and it is the only package that
// knows SQL and pgx.
//
// Every transaction has one of three scopes (scopes.go): one tenant, several tenants, or no tenant, which
// reaches only the sanctioned functions and the tables without tenants. Row-level security enforces the scope,
// and every statement names its tenant as well, so that there are always two walls.
//
// The package decides nothing about orders. It locks, reads, writes what a use case has changed, and reports
// which row is in conflict.
package postgres
