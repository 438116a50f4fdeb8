package event

import (
	"embed"
	"strconv"
)

//go:generate go run ./cmd/eventdoc

//go:embed schema
var schemas embed.FS

// Schema returns the JSON Schema (2020-12) of a type's data in a major version. The API serves it at
// SchemaPath. ok is false if there is no such type or version.
func Schema(t Type, major int) (document []byte, ok bool) {
	document, err := schemas.ReadFile("schema/" + string(t) + "/" + strconv.Itoa(major) + ".json")
	return document, err == nil
}
