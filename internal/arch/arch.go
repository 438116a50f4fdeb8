// Package arch has no code of its own: its tests hold the rules that the compiler does not know. Which package
// may import which, where a library's types may appear, what a test has to do, which words may stand
// in a file, and whether the documents speak of what is there.
package arch

//go:generate go run ./cmd/configdoc -root ../.. -o ../../docs/configuration.md
