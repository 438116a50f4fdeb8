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

// ChangeKind is what becomes of an entry.
type ChangeKind string

// The kinds of change.
const (
	Added     ChangeKind = "added"     // a new name
	Changed   ChangeKind = "changed"   // a new version of a known name
	Unchanged ChangeKind = "unchanged" // this very version is there already: nothing to do
	Refused   ChangeKind = "refused"   // see Problem
)

// Change is what applying one entry of a file would do. Its JSON is the output of
// "platforma catalog diff".
type Change struct {
	Entry     string     `json:"entry"`
	Kind      ChangeKind `json:"kind"`
	From      int        `json:"from_version,omitempty"` // the newest version there is; 0 for none
	To        int        `json:"to_version"`
	ValidFrom time.Time  `json:"valid_from"`
	Details   []Detail   `json:"details,omitempty"` // of Changed, by pointer
	Problem   string     `json:"problem,omitempty"` // of Refused: what to do about it
}

// Detail is one value that differs. In its pointer, members of a list that have an id or name are
// called by it: /plans/core/price.
type Detail struct {
	Pointer string          `json:"pointer"`
	Old     json.RawMessage `json:"old,omitempty"` // absent: there was none
	New     json.RawMessage `json:"new,omitempty"` // absent: there is none any more
}

// Diff compares a file's entries with those there are, one change for each entry of the file, by
// name and version. Entries that the file does not name stay as they are: a file is added, it
// replaces nothing (D10, D14). A version that is there already with another content, or one below
// the newest, is Refused.
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

// change compares an entry with the versions of its name there are.
func change(known []Entry, e Entry) Change {
	var last, same Entry
	for _, k := range known {
		if k.Name != e.Name {
			continue
		}
		if k.Version == e.Version {
			same = k
		}
		if k.Version > last.Version {
			last = k
		}
	}
	c := Change{Entry: e.Name, Kind: Added, From: last.Version, To: e.Version, ValidFrom: e.ValidFrom}
	switch {
	case same.Name != "" && len(details(same, e)) == 0:
		c.Kind = Unchanged
	case same.Name != "":
		// A version is written once: orders name it in their snapshots.
		c.Kind, c.Problem = Refused,
			fmt.Sprintf("version %d is there already and says something else: make this one version %d",
				e.Version, last.Version+1)
	case last.Version > e.Version:
		c.Kind, c.Problem = Refused, fmt.Sprintf("version %d is there already: make this one version %d",
			last.Version, last.Version+1)
	case last.Version > 0:
		c.Kind, c.Details = Changed, details(last, e)
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

// compare walks two values side by side.
func compare(old, next any, at string, found []Detail) []Detail {
	if reflect.DeepEqual(old, next) {
		return found
	}
	a, isObject := old.(map[string]any)
	b, alsoObject := next.(map[string]any)
	if !isObject || !alsoObject {
		return append(found, Detail{Pointer: at, Old: text(old), New: text(next)})
	}
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		before, was := a[k]
		after, is := b[k]
		switch {
		case !was:
			found = append(found, Detail{Pointer: at + "/" + escape(k), New: text(after)})
		case !is:
			found = append(found, Detail{Pointer: at + "/" + escape(k), Old: text(before)})
		default:
			found = compare(before, after, at+"/"+escape(k), found)
		}
	}
	return found
}

// generic decodes a body for comparison: lists become objects, by the names of their members or
// else by position, so that a plan put first does not look like all plans changed.
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

// nameOf is what a list's member is called: its id or component, else its position.
func nameOf(item any, position int) string {
	object, _ := item.(map[string]any)
	for _, member := range []string{"id", "component"} {
		if s, ok := object[member].(string); ok {
			return s
		}
	}
	return strconv.Itoa(position)
}

// text is a value as JSON; nil for none.
func text(v any) json.RawMessage {
	raw, err := encode(v)
	if err != nil {
		return nil
	}
	return raw
}

// String is the change for a person: a headline, and a line for each value that differs.
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
