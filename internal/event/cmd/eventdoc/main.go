// Command eventdoc generates the JSON Schemas of the event types (internal/event/schema), docs/events.md
// and docs/asyncapi.yaml. It reads the Go types, the table of event types and the golden examples, and knows
// nothing else of the product. A test fails if its output is not committed.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/platforma-cloud/orders/internal/event"
)

func main() {
	log.SetFlags(0)
	root, err := moduleRoot()
	if err != nil {
		log.Fatal(err)
	}
	files, err := generate(root)
	if err != nil {
		log.Fatal(err)
	}
	for name, body := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate returns the contents of all files, by their paths below the module's root.
func generate(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, d := range event.Definitions() {
		s, err := schemaOf(d)
		if err != nil {
			return nil, err
		}
		files[fmt.Sprintf("internal/event/schema/%s/%d.json", d.Type, event.Major)] = s
	}
	page, err := document(filepath.Join(root, "internal/event/testdata"))
	if err != nil {
		return nil, err
	}
	files["docs/events.md"] = page
	if files["docs/asyncapi.yaml"], err = asyncapi(filepath.Join(root, "internal/event/testdata")); err != nil {
		return nil, err
	}
	return files, nil
}

// moduleRoot returns the working directory or its nearest parent that has a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the module")
		}
		dir = parent
	}
}
