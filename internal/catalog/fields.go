package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// dialect is the only JSON Schema version that a configuration schema may use.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// node is a configuration schema, or a part of it, as the portal and the messages of faults need it. It has
// exactly the keywords that a schema may use. parseSchema refuses all others, so every fault has a code and a
// text, and every form can be drawn.
type node struct {
	Schema      string `json:"$schema"`
	Type        string `json:"type"` // object, array, integer, string or boolean; number would admit fractions
	Title       string `json:"title"`
	Description string `json:"description"`

	Properties           map[string]*node `json:"properties"`
	Required             []string         `json:"required"`
	AdditionalProperties *bool            `json:"additionalProperties"`

	Items       *node  `json:"items"`
	MinItems    *int64 `json:"minItems"`
	MaxItems    *int64 `json:"maxItems"`
	UniqueItems bool   `json:"uniqueItems"`

	Enum      []string `json:"enum"`
	MinLength *int64   `json:"minLength"`
	MaxLength *int64   `json:"maxLength"`
	Pattern   string   `json:"pattern"`

	Minimum *int64 `json:"minimum"`
	Maximum *int64 `json:"maximum"`

	Default json.RawMessage `json:"default"` // filled in if the member is missing
	UI      *hints          `json:"x-ui"`
}

// hints say how a form shows a member.
type hints struct {
	Label   string            `json:"label"`
	Help    string            `json:"help"`
	Order   int               `json:"order"`
	Unit    string            `json:"unit"`
	Widget  string            `json:"widget"`
	Options map[string]string `json:"options"` // the labels of enumerated values
	Default json.RawMessage   `json:"default"` // what the form starts with; never filled in, unlike the schema's default
}

// widgets are the form controls that the portal can draw.
var widgets = []string{"select", "radio", "number", "slider", "switch", "keys", "group"}

// maxInteger bounds the integers of a configuration, so that quantity × price cannot overflow an int64.
const maxInteger = 1_000_000_000

// parseSchema reads a configuration schema and refuses what check, price and portal cannot handle.
func parseSchema(raw json.RawMessage) (*node, error) {
	var root node
	if err := decodeExact(raw, &root); err != nil {
		return nil, err
	}
	if root.Schema != dialect {
		return nil, fmt.Errorf("$schema must be %s", dialect)
	}
	if root.Type != "object" {
		return nil, errors.New("a configuration is an object")
	}
	return &root, root.lint("")
}

// lint checks a node and what is inside it; at is its pointer in the configuration.
func (n *node) lint(at string) error {
	switch n.Type {
	case "object":
		return n.lintObject(at)
	case "array":
		if n.Items == nil || n.MaxItems == nil {
			return fmt.Errorf("%s: a list needs items and maxItems", at)
		}
		return n.Items.lint(at + "/0")
	case "integer":
		if n.Minimum == nil || n.Maximum == nil || *n.Minimum < 0 || *n.Minimum > *n.Maximum || *n.Maximum > maxInteger {
			return fmt.Errorf("%s: an integer needs 0 ≤ minimum ≤ maximum ≤ %d", at, maxInteger)
		}
	case "string":
		if len(n.Enum) == 0 && n.MaxLength == nil {
			return fmt.Errorf("%s: a text needs enum or maxLength", at)
		}
	case "boolean":
	default:
		return fmt.Errorf("%s: type %q is none of object, array, integer, string, boolean", at, n.Type)
	}
	return nil
}

func (n *node) lintObject(at string) error {
	if n.AdditionalProperties == nil || *n.AdditionalProperties {
		return fmt.Errorf("%s: an object needs additionalProperties false", at)
	}
	for _, r := range n.Required {
		if n.Properties[r] == nil {
			return fmt.Errorf("%s: required member %s is not among the properties", at, r)
		}
	}
	orders := map[int]string{}
	for _, key := range slices.Sorted(maps.Keys(n.Properties)) {
		p, here := n.Properties[key], at+"/"+key
		if !name.MatchString(key) {
			return fmt.Errorf("%s: not a name of lower-case letters, digits and _", here)
		}
		if p == nil {
			return fmt.Errorf("%s: has no schema", here)
		}
		if err := p.lint(here); err != nil {
			return err
		}
		if err := p.lintHints(here); err != nil {
			return err
		}
		if other, taken := orders[p.UI.Order]; taken {
			return fmt.Errorf("%s: x-ui order %d is used by %s already", here, p.UI.Order, other)
		}
		orders[p.UI.Order] = key
		if slices.Contains(n.Required, key) && p.formDefault() == nil {
			return fmt.Errorf("%s: a required member needs an x-ui default that a form can start with", here)
		}
	}
	return nil
}

func (n *node) lintHints(at string) error {
	switch {
	case n.UI == nil || n.UI.Label == "":
		return fmt.Errorf("%s: needs x-ui with a label", at)
	case !slices.Contains(widgets, n.UI.Widget):
		return fmt.Errorf("%s: x-ui widget %q is none of %v", at, n.UI.Widget, widgets)
	}
	for option := range n.UI.Options {
		if !slices.Contains(n.Enum, option) {
			return fmt.Errorf("%s: x-ui option %s is not in the enum", at, option)
		}
	}
	return nil
}

// at returns the node that checks the value at a path of the configuration, or nil, and the value's label.
func (n *node) at(path []string) (*node, string) {
	label := "The configuration"
	for _, t := range path {
		if n.Type == "array" && n.Items != nil {
			if i, err := strconv.Atoi(t); err == nil {
				label += ", entry " + strconv.Itoa(i+1)
			}
			n = n.Items
			continue
		}
		next := n.Properties[t]
		if next == nil {
			return nil, label
		}
		n = next
		if n.UI != nil {
			label = n.UI.Label
		}
	}
	return n, label
}

// certain returns the node of a member that every accepted configuration has once its defaults are filled in:
// each member on the path is required or has a default.
func (n *node) certain(p string) (*node, error) {
	if p == "" || p[0] != '/' {
		return nil, fmt.Errorf("%q is not a JSON pointer to a member", p)
	}
	for _, t := range tokens(p) {
		next := n.Properties[t]
		if next == nil {
			return nil, fmt.Errorf("%s is not in the configuration", p)
		}
		if len(next.Default) == 0 && !slices.Contains(n.Required, t) {
			return nil, fmt.Errorf("%s may be left out: require it or give it a default", p)
		}
		n = next
	}
	return n, nil
}

// fill adds missing members that have a default in the schema. It changes v.
func (n *node) fill(v any) error {
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for key, p := range n.Properties {
		if _, present := object[key]; !present && len(p.Default) > 0 {
			value, err := decodeStrict(p.Default)
			if err != nil {
				return fmt.Errorf("default of %s: %w", key, err)
			}
			object[key] = value
		}
		if err := p.fill(object[key]); err != nil {
			return err
		}
	}
	return nil
}

// formDefault returns the value that a form starts with: the x-ui default, else the schema's default, else for
// an object the values of its members. It returns nil if there is none.
func (n *node) formDefault() any {
	switch {
	case n.UI != nil && len(n.UI.Default) > 0:
		return n.UI.Default
	case len(n.Default) > 0:
		return n.Default
	case n.Type != "object":
		return nil
	}
	object := map[string]any{}
	for key, p := range n.Properties {
		if v := p.formDefault(); v != nil {
			object[key] = v
		}
	}
	return object
}

// minimalDefault returns formDefault of the required members only, so that the schema's own defaults are used
// for the others.
func (n *node) minimalDefault() map[string]any {
	object := map[string]any{}
	for _, key := range n.Required {
		object[key] = n.Properties[key].formDefault()
	}
	return object
}
