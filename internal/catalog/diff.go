package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ChangeKind says what applying a file does with an entry.
type ChangeKind string

// The kinds of change.
const (
	Added     ChangeKind = "added"     // a new name
	Changed   ChangeKind = "changed"   // a new version of a known name
	Unchanged ChangeKind = "unchanged" // the same version exists already
	Refused   ChangeKind = "refused"   // see Problem
)

// Change is what applying one entry of a file would do. "platforma catalog diff" prints it as JSON.
type Change struct {
	Entry     string     `json:"entry"`
	Kind      ChangeKind `json:"kind"`
	From      int        `json:"from_version,omitempty"` // the newest existing version; 0 if there is none
	To        int        `json:"to_version"`
	ValidFrom time.Time  `json:"valid_from"`
	Details   []Detail   `json:"details,omitempty"` // for Changed, by pointer
	Problem   string     `json:"problem,omitempty"` // for Refused: what is wrong and what to do
}

// Detail is one value that differs. Its pointer names an entry of a list by its id or component, if it has one:
// /plans/core/price.
type Detail struct {
	Pointer string          `json:"pointer"`
	Old     json.RawMessage `json:"old,omitempty"` // absent if the value was added
	New     json.RawMessage `json:"new,omitempty"` // absent if the value was removed
}

// Diff compares a file's entries with the existing ones and returns a change for each entry of the file, ordered
// by name and version. A file only adds: entries that it does not name stay as they are (D10, D14). A version
// that exists with other content, or that is below the newest, is Refused.
func Diff(old, file []Entry) []Change {
	known := slices.Clone(old)
	changes := make([]Change, 0, len(file))
	for _, e := range slices.SortedStableFunc(slices.Values(file), byNameAndVersion) {
		changes = append(changes, change(known, e))
		known = append(known, e)
	}
	return changes
}

func byNameAndVersion(a, b Entry) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

// change compares an entry with the existing versions of its name.
func change(known []Entry, e Entry) Change {
	var newest, same Entry
	for _, k := range known {
		if k.Name != e.Name {
			continue
		}
		if k.Version == e.Version {
			same = k
		}
		if k.Version > newest.Version {
			newest = k
		}
	}
	c := Change{Entry: e.Name, Kind: Added, From: newest.Version, To: e.Version, ValidFrom: e.ValidFrom}
	switch {
	case same.Name != "" && len(details(same, e)) == 0:
		c.Kind = Unchanged
	case same.Name != "":
		// A version is written once, because orders name it in their snapshots.
		c.Kind = Refused
		c.Problem = fmt.Sprintf("version %d exists already with other content: make this one version %d",
			e.Version, newest.Version+1)
	case newest.Version > e.Version:
		c.Kind = Refused
		c.Problem = fmt.Sprintf("version %d exists already: make this one version %d",
			newest.Version, newest.Version+1)
	case newest.Version > 0:
		c.Kind, c.Details = Changed, details(newest, e)
	}
	return c
}

// details lists what differs between two entries of one name.
func details(old, next Entry) []Detail {
	var found []Detail
	if !old.ValidFrom.Equal(next.ValidFrom) {
		found = append(found, Detail{
			Pointer: "/valid_from", Old: text(old.ValidFrom.Format(time.RFC3339)),
			New: text(next.ValidFrom.Format(time.RFC3339)),
		})
	}
	return compare(generic(old.Body), generic(next.Body), "", found)
}

// compare walks two values in parallel and appends what differs.
func compare(old, next any, at string, found []Detail) []Detail {
	if reflect.DeepEqual(old, next) {
		return found
	}
	a, oldIsObject := old.(map[string]any)
	b, newIsObject := next.(map[string]any)
	if !oldIsObject || !newIsObject {
		return append(found, Detail{Pointer: at, Old: text(old), New: text(next)})
	}
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		before, inOld := a[k]
		after, inNew := b[k]
		switch {
		case !inOld:
			found = append(found, Detail{Pointer: at + "/" + escape(k), New: text(after)})
		case !inNew:
			found = append(found, Detail{Pointer: at + "/" + escape(k), Old: text(before)})
		default:
			found = compare(before, after, at+"/"+escape(k), found)
		}
	}
	return found
}

// generic decodes a body for comparison. Lists of objects become objects whose keys are the names or positions of
// the entries, so that a plan inserted at the top does not look as if all plans had changed.
func generic(raw json.RawMessage) any {
	v, err := decodeStrict(raw)
	if err != nil {
		return string(raw)
	}
	return keyed(v)
}

func keyed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = keyed(v[k])
		}
	case []any:
		object := make(map[string]any, len(v))
		for i, item := range v {
			object[nameOf(item, i)] = keyed(item)
		}
		if len(object) == len(v) && slices.ContainsFunc(v, isObject) {
			return object
		}
	}
	return v
}

func isObject(v any) bool {
	_, ok := v.(map[string]any)
	return ok
}

// nameOf returns the name of a list's entry: its id or component, else its position.
func nameOf(item any, position int) string {
	object, _ := item.(map[string]any)
	for _, member := range []string{"id", "component"} {
		if s, ok := object[member].(string); ok {
			return s
		}
	}
	return strconv.Itoa(position)
}

// text returns a value as JSON, or nil if it cannot be encoded.
func text(v any) json.RawMessage {
	raw, err := encode(v)
	if err != nil {
		return nil
	}
	return raw
}

// String returns the change as text: a headline, and a line for each value that differs.
func (c Change) String() string {
	var b strings.Builder
	switch c.Kind {
	case Added:
		fmt.Fprintf(&b, "+ %s version %d, from %s", c.Entry, c.To, c.ValidFrom.Format(time.RFC3339))
	case Changed:
		fmt.Fprintf(&b, "~ %s version %d → %d, from %s", c.Entry, c.From, c.To, c.ValidFrom.Format(time.RFC3339))
	case Unchanged:
		fmt.Fprintf(&b, "= %s version %d", c.Entry, c.To)
	case Refused:
		fmt.Fprintf(&b, "! %s version %d refused: %s", c.Entry, c.To, c.Problem)
	}
	for _, d := range c.Details {
		switch {
		case d.Old == nil:
			fmt.Fprintf(&b, "\n    %s: added %s", d.Pointer, d.New)
		case d.New == nil:
			fmt.Fprintf(&b, "\n    %s: removed %s", d.Pointer, d.Old)
		default:
			fmt.Fprintf(&b, "\n    %s: %s → %s", d.Pointer, d.Old, d.New)
		}
	}
	return b.String()
}
