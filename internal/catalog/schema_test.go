package catalog_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/catalog"
)

func TestASchemaReadsNoFileAndNoAddress(t *testing.T) {
	t.Parallel()
	real := filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(real, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		`{"$ref":"file://` + real + `"}`,
		`{"$ref":"https://example.com/schema.json"}`,
		`{"$schema":"file://` + real + `"}`,
	} {
		_, err := catalog.CompileSchema("vps", json.RawMessage(raw))
		if err == nil || !strings.Contains(err.Error(), "may not refer to anything outside itself") {
			t.Errorf("compile %s: %v", raw, err)
		}
	}
}
