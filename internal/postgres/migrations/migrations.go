// Package migrations holds the schema's history as SQL files, numbered and forward-only, each of one
// thought. It knows nothing but the files; postgres.Migrate applies them.
//
// Each file sets the role and the search path itself and resets them at its end. The migrator does not do it
// for them: some statements need the login's own rights between the two, and a file says by itself what it does.
// A table or function that a file makes without them fails the sweep of the tenant walls.
package migrations

import "embed"

// Files are the migrations in goose's format.
//
//go:embed *.sql
var Files embed.FS
