package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
)

// node is a JSON Schema. Its keywords are written in the order of the fields.
type node struct {
	Schema      string   `json:"$schema,omitempty"`
	ID          string   `json:"$id,omitempty"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Type        string   `json:"type"`
	Format      string   `json:"format,omitempty"`
	Pattern     string   `json:"pattern,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	Minimum     *int     `json:"minimum,omitempty"`
	Required    []string `json:"required,omitempty"`
	Properties  members  `json:"properties,omitempty"`
	Items       *node    `json:"items,omitempty"`
}

// members are the properties of an object, in the order of the Go type's fields.
type members []member

type member struct {
	name string
	node *node
}

// MarshalJSON writes the members as one object.
func (ms members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range ms {
		if i > 0 {
			b.WriteByte(',')
		}
		body, err := json.Marshal(m.node)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", m.name, body)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemaOf renders the schema of a type. It allows additional members, because members may be added later:
// a reader ignores what it does not know.
func schemaOf(d event.Definition) ([]byte, error) {
	n, err := nodeOf(reflect.TypeFor[event.Data](), "")
	if err != nil {
		return nil, err
	}
	n.Schema, n.ID = "https://json-schema.org/draft/2020-12/schema", event.SchemaPath(d.Type)
	n.Title, n.Description = string(d.Type), d.Summary
	for _, m := range d.Required {
		if !slices.ContainsFunc(n.Properties, func(p member) bool { return p.name == m }) {
			return nil, fmt.Errorf("%s requires %s, which no payload has", d.Type, m)
		}
		n.Required = append(n.Required, m)
	}
	b, err := json.MarshalIndent(n, "", "  ")
	return append(b, '\n'), err
}

// nodeOf returns the schema of a Go type, which is the member at path, with the facts about it.
func nodeOf(t reflect.Type, path string) (*node, error) {
	n, err := typeNode(t, path)
	if err != nil {
		return nil, err
	}
	f, ok := facts[path]
	if !ok && path != "" {
		return nil, fmt.Errorf("member %s has no description in cmd/eventdoc/facts.go", path)
	}
	n.Description, n.Enum, n.Pattern, n.Minimum = f.description, f.enum, f.pattern, f.minimum
	if f.format != "" {
		n.Format = f.format
	}
	return n, nil
}

// typeNode returns the schema of a Go type, without the facts about it.
func typeNode(t reflect.Type, path string) (*node, error) {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeNode(t.Elem(), path)
	case t == reflect.TypeFor[time.Time]():
		return &node{Type: "string", Format: "date-time"}, nil
	case t == reflect.TypeFor[json.RawMessage]():
		return &node{Type: "object"}, nil
	case t.Kind() == reflect.Array: // an id
		return &node{Type: "string", Format: "uuid"}, nil
	case t.Kind() == reflect.String:
		return &node{Type: "string"}, nil
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return &node{Type: "integer"}, nil
	case t.Kind() == reflect.Slice:
		items, err := nodeOf(t.Elem(), path+"[]")
		return &node{Type: "array", Items: items}, err
	case t.Kind() == reflect.Struct:
		return object(t, path)
	}
	return nil, fmt.Errorf("member %s has the Go type %s, for which no schema is known", path, t)
}

func object(t reflect.Type, path string) (*node, error) {
	n := &node{Type: "object"}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		child, err := nodeOf(f.Type, strings.TrimPrefix(path+"."+name, "."))
		if err != nil {
			return nil, err
		}
		n.Properties = append(n.Properties, member{name, child})
		if options != "omitempty" {
			n.Required = append(n.Required, name)
		}
	}
	return n, nil
}

func orderStates() []string {
	var names []string
	for _, s := range order.States() {
		names = append(names, s.String())
	}
	return names
}

func itemStates() []string {
	var names []string
	for _, s := range order.ItemStates() {
		names = append(names, s.String())
	}
	return names
}
