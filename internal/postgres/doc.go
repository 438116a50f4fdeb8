// Package postgres is the store: the schema and its migrations, and the one place that knows SQL and
// pgx. Every transaction goes through one of three doors (scopes.go): one tenant, several tenants, or
// none, which reaches the sanctioned functions alone. Behind each stands row-level security; every
// statement names its tenant besides, so there are always two walls. The package decides nothing
// about orders: it locks, reads, writes what a use case has changed, and says which row was in the way.
package postgres
