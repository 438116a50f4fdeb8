package config

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// decoder turns YAML into structs and collects everything that is wrong.
type decoder struct {
	faults []Fault
}

func (d *decoder) fault(line int, format string, args ...any) {
	d.faults = append(d.faults, Fault{Line: line, Text: fmt.Sprintf(format, args...)})
}

// list is the node's entries; anything but a list is a fault.
func (d *decoder) list(n *yaml.Node, what string) []*yaml.Node {
	n = target(n)
	switch {
	case n.Kind == 0, n.Tag == "!!null":
		return nil
	case n.Kind != yaml.SequenceNode:
		d.fault(n.Line, "%s must be a list: begin each entry with a dash", what)
		return nil
	}
	return n.Content
}

// mapping fills the structs behind the pointers from the node's keys, each key by the yaml tag of one
// field. It returns the lines of the keys, or nil when the node is no mapping.
func (d *decoder) mapping(n *yaml.Node, what string, into ...reflect.Value) map[string]int {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, "%s must be a list of keys with their values, such as name: lj", what)
		return nil
	}
	fields, names := fieldsOf(into)
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
			d.fault(key.Line, "%s has no key %q; %s", what, key.Value, meant(key.Value, names))
			continue
		}
		if err := value.Decode(field.Addr().Interface()); err != nil {
			d.fault(value.Line, "%s of %s must be %s", key.Value, what, kindWord(field.Kind()))
		}
	}
	return lines
}

// fieldsOf are the fields with a yaml tag of the structs behind the pointers, by tag; names in order.
func fieldsOf(pointers []reflect.Value) (fields map[string]reflect.Value, names []string) {
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

// scalar is the value of one key, and "" when it is not there or no scalar.
func scalar(n *yaml.Node, key string) string {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := target(n.Content[i+1]); n.Content[i].Value == key && v.Kind == yaml.ScalarNode {
			return v.Value
		}
	}
	return ""
}

// target is the node that an alias stands for, else the node itself.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// kindWord says in an operator's words what a field takes.
func kindWord(k reflect.Kind) string {
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
