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

// field is one control of the configurator: a member of the product's JSON Schema with its x-ui
// hints, and what the person has entered so far.
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

	Value string // as entered; of a list one entry a line
	On    bool   // of a switch
	Fault string
}

type option struct{ Value, Text string }

// Name of the control in the form.
func (f field) Name() string { return "c" + f.Pointer }

// ID of the control in the page.
func (f field) ID() string { return "c" + strings.ReplaceAll(f.Pointer, "/", "-") }

// limits says what a number may be: "3 to 50 workers".
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

// member is what the portal reads of a JSON Schema; catalog.Load has refused everything else.
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

// parseFields draws the form of a configuration schema, in the order its hints ask for.
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

// filled returns the fields with what a configuration says.
func filled(fields []field, configuration json.RawMessage) []field {
	d := json.NewDecoder(bytes.NewReader(configuration))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return fields // a form that shows nothing is better than none
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

// entered returns the fields with what a person sent.
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

// configurationOf makes the JSON of what is entered. What is no whole number is sent as text, so that
// the catalogue names the fault; an empty optional member is left out.
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

// pair is one line of a configuration in words.
type pair struct{ Label, Value string }

// described says a configuration in the words of its schema. Switches that are off and empty lists
// are left out, for they say nothing.
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

// blamed hands each fault to the field it is about and returns those no field bears. Pointers start
// with at, such as /items/0; a fault inside a list belongs to the list.
func blamed(fields []field, faults map[string]string, at string) []field {
	out := slices.Clone(fields)
	for i := range out {
		f := &out[i]
		f.Fields = blamed(f.Fields, faults, at)
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
