// Package migrations holds the schema's history as SQL files, numbered and forward-only, each of one
// thought. It knows nothing but the files; postgres.Migrate applies them.
package migrations

import "embed"

// Files are the migrations in goose's format.
//
//go:embed *.sql
var Files embed.FS
