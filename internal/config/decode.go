package config

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// decoder decodes YAML nodes into structs and collects everything that is wrong.
type decoder struct {
	faults []Fault
}

func (d *decoder) fault(line int, format string, args ...any) {
	d.faults = append(d.faults, Fault{Line: line, Text: fmt.Sprintf(format, args...)})
}

// listEntries returns the entries of a list. An absent node has none; anything else that is not a list is a
// fault.
func (d *decoder) listEntries(n *yaml.Node, what string) []*yaml.Node {
	n = resolveAlias(n)
	switch {
	case n.Kind == 0, n.Tag == "!!null":
		return nil
	case n.Kind != yaml.SequenceNode:
		d.fault(n.Line, "%s must be a list: begin each entry with a dash", what)
		return nil
	}
	return n.Content
}

// decodeMapping sets the fields of the structs behind the pointers from the keys of the node, by yaml tag. It
// returns the lines of the keys, or nil when the node is not a mapping.
func (d *decoder) decodeMapping(n *yaml.Node, what string, into ...reflect.Value) map[string]int {
	n = resolveAlias(n)
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, "%s must be a list of keys with their values, such as name: lj", what)
		return nil
	}
	fields, names := taggedFields(into)
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, again := lines[key.Value]; again {
			d.fault(key.Line, "%s has %q twice", what, key.Value)
			continue
		}
		lines[key.Value] = key.Line
		field, known := fields[key.Value]
		if !known {
			d.fault(key.Line, "%s has no key %q; %s", what, key.Value, suggestion(key.Value, names))
			continue
		}
		if err := value.Decode(field.Addr().Interface()); err != nil {
			d.fault(value.Line, "%s of %s must be %s", key.Value, what, kindName(field.Kind()))
		}
	}
	return lines
}

// taggedFields returns the fields that have a yaml tag, by tag, of the structs behind the pointers. Names are
// the tags in the order of the fields.
func taggedFields(pointers []reflect.Value) (fields map[string]reflect.Value, names []string) {
	fields = map[string]reflect.Value{}
	for _, p := range pointers {
		v := p.Elem()
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
				fields[tag] = v.Field(i)
				names = append(names, tag)
			}
		}
	}
	return fields, names
}

// scalar returns the value of one key, or "" when it is absent or not a scalar.
func scalar(n *yaml.Node, key string) string {
	n = resolveAlias(n)
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := resolveAlias(n.Content[i+1]); n.Content[i].Value == key && v.Kind == yaml.ScalarNode {
			return v.Value
		}
	}
	return ""
}

// resolveAlias returns the node that an alias refers to, or the node itself when it is not an alias.
func resolveAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// kindName names the kind of value that a field takes, for operators.
func kindName(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "keys with values"
	default:
		return "a number"
	}
}
