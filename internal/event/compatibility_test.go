package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// firstRelease is how many event types the first release published. A type that came later is compared from the
// release on that copies it into its folder.
const firstRelease = 29

// release is the schema and the example of a type in a published version.
type release struct {
	file            string
	typ             event.Type
	schema, example []byte
}

func releases(t *testing.T) []release {
	t.Helper()
	files, err := filepath.Glob("testdata/released/*/*.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []release
	for _, f := range files {
		stem := strings.TrimSuffix(f, ".schema.json")
		p := release{file: f, typ: event.Type(filepath.Base(stem))}
		for name, into := range map[string]*[]byte{f: &p.schema, stem + ".example.json": &p.example} {
			if *into, err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, p)
	}
	if len(all) < firstRelease {
		t.Fatalf("%d released schemas, the first release alone had %d", len(all), firstRelease)
	}
	return all
}

// Old events on the topic stay readable by the current schema, and readers with an old schema can read new
// events.
func TestSchemasAreOnlyEverAddedTo(t *testing.T) {
	t.Parallel()
	for _, old := range releases(t) {
		today, ok := event.Schema(old.typ, event.Major)
		if !ok {
			t.Errorf("%s was published and has no schema any more", old.typ)
			continue
		}
		example, err := os.ReadFile(path(old.typ))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range incompatibilities(t, old, today, example) {
			t.Errorf("%s: %s", old.file, fault)
		}
	}
}

// incompatibilities lists what breaks a reader with the old schema, or a reader of old events.
func incompatibilities(t *testing.T, old release, today, example []byte) []string {
	t.Helper()
	var faults []string
	if err := compile(t, today).Validate(dataOf(t, old.example)); err != nil {
		faults = append(faults, fmt.Sprintf("the old example by today's schema: %v", err))
	}
	if err := compile(t, old.schema).Validate(dataOf(t, example)); err != nil {
		faults = append(faults, fmt.Sprintf("today's example by the old schema: %v", err))
	}
	return append(faults, missingGuarantees(decoded(t, old.schema), decoded(t, today), "")...)
}

// missingGuarantees lists the guarantees of the old schema that today's does not give: a member that is
// gone, has another type, or is no longer required.
func missingGuarantees(old, today map[string]any, at string) []string {
	var faults []string
	if a, b := old["type"], today["type"]; a != b {
		return []string{fmt.Sprintf("%s was of type %v and is of type %v", at, a, b)}
	}
	for _, name := range list(old["required"]) {
		found := false
		for _, have := range list(today["required"]) {
			found = found || have == name
		}
		if !found {
			faults = append(faults, fmt.Sprintf("%s/%v was required and is not required any more", at, name))
		}
	}
	was, is := object(old["properties"]), object(today["properties"])
	for name, sub := range was {
		if is[name] == nil {
			faults = append(faults, fmt.Sprintf("%s/%s is gone", at, name))
			continue
		}
		faults = append(faults, missingGuarantees(object(sub), object(is[name]), at+"/"+name)...)
	}
	if items := object(old["items"]); items != nil {
		faults = append(faults, missingGuarantees(items, object(today["items"]), at+"[]")...)
	}
	return faults
}

// The test above must fail for these changes, otherwise it would prove nothing.
func TestABreakingChangeOfASchemaIsFound(t *testing.T) {
	t.Parallel()
	var old release
	for _, p := range releases(t) {
		if p.typ == order.EvServiceDelivered {
			old = p
		}
	}
	billing := func(m map[string]any) map[string]any {
		item := object(object(m["properties"])["item"])
		return object(object(item["properties"])["billing"])
	}
	for name, c := range map[string]struct {
		edit  func(m map[string]any)
		fault bool
	}{
		"a member is renamed": {func(m map[string]any) {
			all := object(m["properties"])
			all["order_number"] = all["number"]
			delete(all, "number")
		}, true},
		"a text becomes a number": {func(m map[string]any) {
			object(object(m["properties"])["reason"])["type"] = "integer"
		}, true},
		"a member is no longer required": {func(m map[string]any) {
			billing(m)["required"] = list(billing(m)["required"])[1:]
		}, true},
		"a new member is required": {func(m map[string]any) {
			m["required"] = append(list(m["required"]), "added_later")
		}, true},
		"a new optional member is compatible": {func(m map[string]any) {
			object(m["properties"])["added_later"] = map[string]any{"type": "string"}
		}, false},
	} {
		m := decoded(t, old.schema)
		c.edit(m)
		today, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if faults := incompatibilities(t, old, today, old.example); (len(faults) > 0) != c.fault {
			t.Errorf("%s: %q", name, faults)
		}
	}
}

func compile(t *testing.T, body []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	const at = "https://example.org/schema.json"
	if err := c.AddResource(at, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dataOf(t *testing.T, example []byte) any {
	t.Helper()
	var e struct{ Data json.RawMessage }
	if err := json.Unmarshal(example, &e); err != nil {
		t.Fatal(err)
	}
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decoded(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
