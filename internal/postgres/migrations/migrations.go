// Package migrations embeds the migrations of the schema: numbered, forward-only SQL files, each with one purpose.
// postgres.Migrate applies them.
//
// Each file sets the role and the search path and resets them at its end. The migrator does not, because some
// statements need the rights of the login itself, and because a file should show what it does. A table or function
// that a file creates without them fails the sweep of the tenant walls.
package migrations

import "embed"

// Files are the migrations in the format of goose.
//
//go:embed *.sql
var Files embed.FS
