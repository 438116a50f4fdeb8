package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
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
			t.Errorf("%v: run go generate ./internal/event", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not current: run go generate ./internal/event (-want +committed):\n%s", name, diff)
		}
	}
}

func TestEveryTypeIsDescribedOnceInItsOrder(t *testing.T) {
	t.Parallel()
	var described []event.Type
	for _, k := range kinds {
		described = append(described, k.Type)
	}
	if diff := cmp.Diff(order.EventTypes(), described); diff != "" {
		t.Errorf("kinds (-D17 +described):\n%s", diff)
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
		if _, known := event.Routing[event.Type(d.Name())]; !known {
			t.Errorf("schema/%s belongs to no type", d.Name())
		}
	}
}
