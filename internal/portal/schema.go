package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// field is one control of the configurator: a member of the product's JSON Schema with its x-ui hints, and its
// value as entered.
type field struct {
	Pointer  string // in the configuration: /autoscaling/enabled
	Label    string
	Help     string
	Unit     string
	Widget   string
	Type     string
	Options  []option
	Min, Max *int64
	MaxLen   *int64
	Optional bool
	Fields   []field // of a group

	Value string // as entered; a list has one entry per line
	On    bool   // whether a switch is on
	Fault string
}

type option struct{ Value, Text string }

// Name returns the control's name in the form.
func (f field) Name() string { return "c" + f.Pointer }

// ID returns the control's id in the page.
func (f field) ID() string { return "c" + strings.ReplaceAll(f.Pointer, "/", "-") }

// limits describes the range of a number: "3 to 50 workers".
func (f field) limits() string {
	if f.Min == nil || f.Max == nil {
		return ""
	}
	s := grouped(strconv.FormatInt(*f.Min, 10)) + " to " + grouped(strconv.FormatInt(*f.Max, 10))
	if f.Unit != "" {
		s += " " + f.Unit
	}
	return s
}

// member holds the keywords of JSON Schema that the portal reads. catalog.Load refuses all others.
type member struct {
	Type       string            `json:"type"`
	Properties map[string]member `json:"properties"`
	Required   []string          `json:"required"`
	Enum       []string          `json:"enum"`
	Minimum    *int64            `json:"minimum"`
	Maximum    *int64            `json:"maximum"`
	Items      *member           `json:"items"`
	MaxLength  *int64            `json:"maxLength"`
	UI         struct {
		Label   string            `json:"label"`
		Help    string            `json:"help"`
		Order   int               `json:"order"`
		Unit    string            `json:"unit"`
		Widget  string            `json:"widget"`
		Options map[string]string `json:"options"`
	} `json:"x-ui"`
}

// parseFields returns the fields of a configuration schema, in the order of its hints.
func parseFields(schema json.RawMessage) ([]field, error) {
	var root member
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, fmt.Errorf("read configuration schema: %w", err)
	}
	return root.fields(""), nil
}

func (m member) fields(at string) []field {
	keys := slices.SortedFunc(maps.Keys(m.Properties), func(a, b string) int {
		return m.Properties[a].UI.Order - m.Properties[b].UI.Order
	})
	fields := make([]field, 0, len(keys))
	for _, key := range keys {
		p := m.Properties[key]
		f := field{
			Pointer: at + "/" + key, Label: p.UI.Label, Help: p.UI.Help, Unit: p.UI.Unit, Widget: p.UI.Widget, Type: p.Type,
			Min: p.Minimum, Max: p.Maximum, MaxLen: p.MaxLength, Optional: !slices.Contains(m.Required, key),
			Fields: p.fields(at + "/" + key),
		}
		if f.Unit == f.Label {
			f.Unit = ""
		}
		for _, v := range p.Enum {
			text := p.UI.Options[v]
			if text == "" {
				text = words(v)
			}
			f.Options = append(f.Options, option{v, text})
		}
		fields = append(fields, f)
	}
	return fields
}

// filled returns the fields with the values of a configuration.
func filled(fields []field, configuration json.RawMessage) []field {
	d := json.NewDecoder(bytes.NewReader(configuration))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return fields // an empty form is better than none
	}
	return fillAll(fields, values)
}

func fillAll(fields []field, values map[string]any) []field {
	out := slices.Clone(fields)
	for i := range out {
		f := &out[i]
		switch v := values[f.Pointer[strings.LastIndexByte(f.Pointer, '/')+1:]].(type) {
		case map[string]any:
			f.Fields = fillAll(f.Fields, v)
		case bool:
			f.On = v
		case []any:
			lines := make([]string, len(v))
			for j, e := range v {
				lines[j] = fmt.Sprint(e)
			}
			f.Value = strings.Join(lines, "\n")
		case nil:
		default:
			f.Value = fmt.Sprint(v)
		}
	}
	return out
}

// entered returns the fields with the values that a person sent.
func entered(fields []field, form url.Values) []field {
	out := slices.Clone(fields)
	for i := range out {
		f := &out[i]
		f.Value = strings.TrimSpace(form.Get(f.Name()))
		f.On = f.Value == "on"
		f.Fields = entered(f.Fields, form)
	}
	return out
}

// configurationOf returns the entered values as JSON. An integer that cannot be parsed is passed on as text, so
// that the catalogue reports the fault. An empty value is left out.
func configurationOf(fields []field) (json.RawMessage, error) {
	return json.Marshal(valuesOf(fields))
}

func valuesOf(fields []field) map[string]any {
	values := map[string]any{}
	for _, f := range fields {
		key := f.Pointer[strings.LastIndexByte(f.Pointer, '/')+1:]
		switch f.Type {
		case "object":
			values[key] = valuesOf(f.Fields)
		case "boolean":
			values[key] = f.On
		case "array":
			list := []string{}
			for line := range strings.Lines(f.Value) {
				if line = strings.TrimSpace(line); line != "" {
					list = append(list, line)
				}
			}
			values[key] = list
		case "integer":
			if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil {
				values[key] = n
			} else if f.Value != "" {
				values[key] = f.Value
			}
		default:
			if f.Value != "" {
				values[key] = f.Value
			}
		}
	}
	return values
}

// pair is one line of a configuration's description.
type pair struct{ Label, Value string }

// described returns a configuration with the labels of its schema. It leaves out switches that are off and empty
// values.
func described(fields []field) []pair {
	var pairs []pair
	for _, f := range fields {
		switch {
		case len(f.Fields) > 0:
			if on := f.Fields[0]; on.Widget == "switch" && !on.On {
				continue
			}
			pairs = append(pairs, described(f.Fields)...)
		case f.Type == "boolean":
			if f.On {
				pairs = append(pairs, pair{f.Label, "on"})
			}
		case f.Value == "":
		case f.Type == "array":
			pairs = append(pairs, pair{f.Label, strconv.Itoa(strings.Count(f.Value, "\n") + 1)})
		default:
			v := f.Value
			for _, o := range f.Options {
				if o.Value == v {
					v = o.Text
				}
			}
			if f.Unit != "" && !strings.EqualFold(f.Unit, f.Label) {
				v += " " + f.Unit
			}
			pairs = append(pairs, pair{f.Label, v})
		}
	}
	return pairs
}

// withFaults returns the fields with the faults that are about them, by JSON pointer. Pointers start with at, such
// as /items/0. A fault inside a list belongs to the list.
func withFaults(fields []field, faults map[string]string, at string) []field {
	out := slices.Clone(fields)
	for i := range out {
		f := &out[i]
		f.Fields = withFaults(f.Fields, faults, at)
		own := at + "/configuration" + f.Pointer
		for _, pointer := range slices.Sorted(maps.Keys(faults)) {
			if pointer == own || f.Type == "array" && strings.HasPrefix(pointer, own+"/") {
				f.Fault = faults[pointer]
				break
			}
		}
	}
	return out
}
