package httpapi

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/id"
)

// checker checks a body against its schema in the OpenAPI document. We do not use the library's check, because each
// of our faults has a code, a pointer and the allowed values.
type checker struct {
	schemas huma.Registry
	faults  []fault.Violation
}

// schemaFaults returns every fault of a parsed body against its schema. Missing members come first, in the order of
// the schema, and then the faults of the others in alphabetical order.
func schemaFaults(schemas huma.Registry, s *huma.Schema, body any) []fault.Violation {
	c := checker{schemas: schemas}
	c.value(s, body, "")
	return c.faults
}

func (c *checker) add(at, code, message string, allowed ...any) {
	c.faults = append(c.faults, fault.Violation{Pointer: at, Code: code, Message: message, Allowed: allowed})
}

func (c *checker) value(s *huma.Schema, v any, at string) {
	if s.Ref != "" {
		s = c.schemas.SchemaFromRef(s.Ref)
	}
	if len(s.AnyOf) > 0 {
		c.anyOf(s, v, at)
		return
	}
	if v == nil {
		if !s.Nullable && s.Type != "" && s.Type != "null" {
			c.add(at, "wrong-type", "This must not be null.", s.Type)
		}
		return
	}
	switch s.Type {
	case huma.TypeObject:
		c.object(s, v, at)
	case huma.TypeArray:
		c.array(s, v, at)
	case huma.TypeString:
		c.text(s, v, at)
	case huma.TypeInteger:
		c.integer(s, v, at)
	case huma.TypeNumber:
		if _, ok := v.(httpkit.Number); !ok {
			c.wrongType(s, at)
		}
	case huma.TypeBoolean:
		if _, ok := v.(bool); !ok {
			c.wrongType(s, at)
		}
	case "null":
		c.wrongType(s, at)
	}
}

func (c *checker) wrongType(s *huma.Schema, at string) {
	c.add(at, "wrong-type", "This must be of the type "+s.Type+".", s.Type)
}

// anyOf checks a value against an anyOf. Our schemas use it only for a type or null.
func (c *checker) anyOf(s *huma.Schema, v any, at string) {
	if v == nil && slices.ContainsFunc(s.AnyOf, func(o *huma.Schema) bool { return o.Type == "null" }) {
		return
	}
	c.value(s.AnyOf[0], v, at)
}

func (c *checker) object(s *huma.Schema, v any, at string) {
	members, ok := v.(map[string]any)
	if !ok {
		c.wrongType(s, at)
		return
	}
	for _, name := range s.Required {
		if _, ok := members[name]; !ok {
			c.add(at+"/"+escape(name), "required", "This is required.")
		}
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	unknown := 0
	for _, name := range names {
		if p, ok := s.Properties[name]; ok {
			c.value(p, members[name], at+"/"+escape(name))
			continue
		}
		switch extra := s.AdditionalProperties.(type) {
		case bool:
			if !extra {
				unknown++
			}
		case *huma.Schema:
			c.value(extra, members[name], at+"/"+escape(name))
		}
	}
	if unknown == 0 {
		return
	}
	// The unknown names are what the caller sent, so the fault does not quote them. It lists the known ones.
	known := make([]any, 0, len(s.Properties))
	for name := range s.Properties {
		known = append(known, name)
	}
	slices.SortFunc(known, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	c.add(at, "unknown-member", fmt.Sprintf("%d member(s) are unknown; names must match exactly, in lower case.", unknown),
		known...)
}

func (c *checker) array(s *huma.Schema, v any, at string) {
	list, ok := v.([]any)
	if !ok {
		c.wrongType(s, at)
		return
	}
	if s.MaxItems != nil && len(list) > *s.MaxItems {
		c.add(at, "too-many-items", fmt.Sprintf("At most %d.", *s.MaxItems), *s.MaxItems)
		return
	}
	if s.MinItems != nil && len(list) < *s.MinItems {
		c.add(at, "too-few-items", fmt.Sprintf("At least %d.", *s.MinItems), *s.MinItems)
	}
	for i, e := range list {
		c.value(s.Items, e, at+"/"+strconv.Itoa(i))
	}
}

func (c *checker) text(s *huma.Schema, v any, at string) {
	t, ok := v.(string)
	if !ok {
		c.wrongType(s, at)
		return
	}
	n := utf8.RuneCountInString(t)
	switch {
	case s.MaxLength != nil && n > *s.MaxLength:
		c.add(at, "too-long", fmt.Sprintf("At most %d characters.", *s.MaxLength), *s.MaxLength)
	case s.MinLength != nil && n < *s.MinLength:
		c.add(at, "too-short", fmt.Sprintf("At least %d character(s).", *s.MinLength), *s.MinLength)
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(t)):
		c.add(at, "not-allowed", "This is not one of the allowed values.", s.Enum...)
	case s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(t):
		c.add(at, "wrong-format", "This must match the pattern "+s.Pattern+".", s.Pattern)
	case s.Format == "date-time" && !isTime(t):
		c.add(at, "wrong-format", "Write the time as in RFC 3339, such as 2026-01-31T12:00:00Z.", "date-time")
	case s.Format == "uuid" && !isID(t):
		c.add(at, "wrong-format", "This must be an id: a UUID.", "uuid")
	}
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

func isID(s string) bool {
	_, err := id.Parse[struct{}](s)
	return err == nil
}

// integer accepts digits and a sign. A number with a point or an exponent is a fault, even if its value is whole.
func (c *checker) integer(s *huma.Schema, v any, at string) {
	n, ok := v.(httpkit.Number)
	if !ok {
		c.wrongType(s, at)
		return
	}
	if strings.ContainsAny(string(n), ".eE") {
		c.add(at, "not-an-integer", "Write a whole number, without point or exponent.", s.Type)
		return
	}
	low, high := int64(-1<<53), int64(1<<53)
	if s.Minimum != nil {
		low = int64(*s.Minimum)
	}
	if s.Maximum != nil {
		high = int64(*s.Maximum)
	}
	i, ok := new(big.Int).SetString(string(n), 10)
	if !ok || i.Cmp(big.NewInt(low)) < 0 || i.Cmp(big.NewInt(high)) > 0 {
		c.add(at, "out-of-range", fmt.Sprintf("This must be between %d and %d.", low, high), low, high)
	}
}

// escape returns a member's name as a token of a JSON pointer (RFC 6901).
func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}
