package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/event"
)

func TestCommittedSchemasAndDocumentAreCurrent(t *testing.T) {
	t.Parallel()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(root)
	if err != nil {
		t.Fatalf("generate() = %v", err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%v: run make generate", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not current: run make generate (-want +committed):\n%s", name, diff)
		}
	}
}

func TestNoSchemaIsLeftOfATypeThatIsGone(t *testing.T) {
	t.Parallel()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := os.ReadDir(filepath.Join(root, "internal/event/schema"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !event.Known(event.Type(d.Name())) {
			t.Errorf("internal/event/schema/%s belongs to no type: delete it", d.Name())
		}
	}
}
