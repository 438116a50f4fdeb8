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
	outside := filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		`{"$ref":"file://` + outside + `"}`,
		`{"$ref":"https://example.com/schema.json"}`,
		`{"$schema":"file://` + outside + `"}`,
	} {
		_, err := catalog.CompileSchema("vps", json.RawMessage(raw))
		if err == nil || !strings.Contains(err.Error(), "may not refer to anything outside itself") {
			t.Errorf("compile %s: %v", raw, err)
		}
	}
}
