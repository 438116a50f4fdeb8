// Command configdoc writes docs/configuration.md: every command of the binary with its flags, their defaults and
// environment variables, which it reads from the source of cmd/platforma, and the settings of a tenant, which it reads
// from package app. It reads the sources and runs none of them.
//
//	go run ./internal/arch/cmd/configdoc -root . -o docs/configuration.md
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", ".", "folder of the module")
	out := flag.String("o", "", "file to write; standard output when empty")
	flag.Parse()
	doc, err := document(*root)
	if err == nil && *out == "" {
		fmt.Print(doc)
		return
	}
	if err == nil {
		err = os.WriteFile(*out, []byte(doc), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}
