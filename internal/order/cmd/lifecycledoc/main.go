// Command lifecycledoc writes docs/order-lifecycle.md from the tables of package order: diagrams, matrices,
// every row with its reason, and a report of states that cannot be reached or left. It knows only the tables,
// not how they are used.
//
//	go run ./internal/order/cmd/lifecycledoc -o docs/order-lifecycle.md
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "", "file to write; standard output when empty")
	flag.Parse()
	doc := document()
	if *out == "" {
		fmt.Print(doc)
		return
	}
	if err := os.WriteFile(*out, []byte(doc), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "lifecycledoc:", err)
		os.Exit(1)
	}
}
