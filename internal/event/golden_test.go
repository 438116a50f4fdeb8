package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

var update = flag.Bool("update", false, "write the golden examples")

// golden formats a message as a file of testdata: the headers in their order, then the data.
func golden(t *testing.T, r event.Record) []byte {
	t.Helper()
	m := event.Encode(r)
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"key":%q,"headers":{`, m.Key)
	for i, h := range m.Headers {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%q", h.Key, h.Value)
	}
	fmt.Fprintf(&b, `},"data":%s}`, m.Value)
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func path(t event.Type) string { return fmt.Sprintf("testdata/%s.%d.json", t, event.Major) }

func TestEveryTypeHasAnExampleThatIsPublishedByteForByte(t *testing.T) {
	t.Parallel()
	records := examples(t)
	for _, typ := range event.Types() {
		r, ok := records[typ]
		if !ok {
			t.Errorf("no example of %s: publish it at the end of examples, in internal/event/example_test.go", typ)
			continue
		}
		got := golden(t, r)
		if *update {
			if err := os.WriteFile(path(typ), got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path(typ))
		if err != nil {
			t.Errorf("%v: run go test ./internal/event -update", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-committed +published):\n%s", typ, diff)
		}
	}
}

func schema(t *testing.T, typ event.Type, major int) *jsonschema.Schema {
	t.Helper()
	body, ok := event.Schema(typ, major)
	if !ok {
		t.Fatalf("%s has no schema of version %d: run make generate", typ, major)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("schema of %s: %v", typ, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	url := "https://example.org" + event.SchemaPath(typ)
	if err := c.AddResource(url, doc); err != nil {
		t.Fatalf("schema of %s: %v", typ, err)
	}
	s, err := c.Compile(url)
	if err != nil {
		t.Fatalf("schema of %s: %v", typ, err)
	}
	return s
}

// The examples of every published version stay in testdata and stay valid.
func TestEveryExampleValidatesAgainstTodaysSchema(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < len(event.Types()) {
		t.Fatalf("%d examples of %d types, %v: run go test ./internal/event -update", len(files), len(event.Types()), err)
	}
	for _, f := range files {
		typ, major := splitName(t, f)
		s := schema(t, typ, major)
		var example struct{ Data json.RawMessage }
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &example); err != nil {
			t.Fatal(err)
		}
		data, err := jsonschema.UnmarshalJSON(bytes.NewReader(example.Data))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(data); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func splitName(t *testing.T, file string) (event.Type, int) {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	i := strings.LastIndexByte(name, '.')
	var major int
	if _, err := fmt.Sscanf(name[i+1:], "%d", &major); err != nil {
		t.Fatalf("%s does not end in a version: %v", file, err)
	}
	return event.Type(name[:i]), major
}

// A schema that accepts everything would make the test above useless.
func TestSchemasRefuseWhatIsNotAnEvent(t *testing.T) {
	t.Parallel()
	s := schema(t, order.EvItemActive, event.Major)
	var example struct{ Data map[string]any }
	raw, err := os.ReadFile(path(order.EvItemActive))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(map[string]any){
		"no tenant":         func(d map[string]any) { delete(d, "tenant_id") },
		"tenant not a UUID": func(d map[string]any) { d["tenant_id"] = "all" },
		"unknown state":     func(d map[string]any) { d["to"] = "exploded" },
		"number as text":    func(d map[string]any) { d["seq"] = "7" },
		"no item":           func(d map[string]any) { delete(d, "item") },
		"amount as number":  func(d map[string]any) { d["due_now"] = map[string]any{"amount": 213.0, "currency": "EUR"} },
	} {
		example.Data = nil
		if err := json.Unmarshal(raw, &example); err != nil {
			t.Fatal(err)
		}
		spoil(example.Data)
		if err := s.Validate(example.Data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	example.Data = nil
	if err := json.Unmarshal(raw, &example); err != nil {
		t.Fatal(err)
	}
	example.Data["added_later"] = true
	if err := s.Validate(example.Data); err != nil {
		t.Errorf("a member of a later version is refused: %v", err)
	}
}

// Credentials and personal data must not be published (D21): this test notices a member for them.
func TestNoExampleCarriesCredentialsOrPersonalData(t *testing.T) {
	t.Parallel()
	forbidden := []string{
		"password", "secret", "token", "credential", "email", "address", "ip", "host", "hostname",
		"endpoint", "name", "phone",
	}
	for typ, r := range examples(t) {
		var data any
		if err := json.Unmarshal(r.Data, &data); err != nil {
			t.Fatal(err)
		}
		walk(data, func(member string) {
			if slices.Contains(forbidden, member) {
				t.Errorf("%s has a member %q", typ, member)
			}
		})
	}
}

// walk calls visit for every member name of a JSON value.
func walk(v any, visit func(member string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			visit(k)
			walk(child, visit)
		}
	case []any:
		for _, child := range v {
			walk(child, visit)
		}
	}
}
