// Package arch has no code, only tests. They check rules that the compiler does not check: which package may import
// which, where a library's types may appear, what a test has to do, which words a file may hold, and whether what the
// documents name exists.
package arch

//go:generate go run ./cmd/configdoc -root ../.. -o ../../docs/configuration.md
