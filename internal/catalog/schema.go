package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Only this file uses the JSON Schema module. Its types and messages do not leave it.

// schema is a compiled configuration schema.
type schema struct{ compiled *jsonschema.Schema }

// finding is one fault that the schema finds in a document: its place, and our code for it.
type finding struct {
	at   []string
	code string
}

// noLoader refuses every reference to something outside the schema: an operator's file must not make the
// process read files or URLs.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %s: a schema may not refer to anything outside itself", url)
}

// compileSchema compiles the schema of an entry as JSON Schema 2020-12.
func compileSchema(entry string, raw json.RawMessage) (*schema, error) {
	document, err := decodeStrict(raw)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	location := "urn:platforma:catalog:" + entry
	if err := c.AddResource(location, document); err != nil {
		return nil, fmt.Errorf("add schema: %w", err)
	}
	compiled, err := c.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return &schema{compiled: compiled}, nil
}

// findings lists every fault of a document, which decodeStrict has decoded.
func (s *schema) findings(document any) []finding {
	err := s.compiled.Validate(document)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	return leaves(invalid, nil)
}

// leaves collects the innermost faults. The faults around them only say that something inside is wrong.
func leaves(e *jsonschema.ValidationError, into []finding) []finding {
	if len(e.Causes) == 0 {
		return append(into, findingsOf(e)...)
	}
	for _, cause := range e.Causes {
		into = leaves(cause, into)
	}
	return into
}

// findingsOf translates one of the module's faults into our codes. Each missing, unknown or duplicate member is
// a finding with its own place.
func findingsOf(e *jsonschema.ValidationError) []finding {
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return perMember(e.InstanceLocation, k.Missing, CodeRequired)
	case *kind.AdditionalProperties:
		return perMember(e.InstanceLocation, k.Properties, CodeUnknownMember)
	case *kind.UniqueItems:
		return perMember(e.InstanceLocation, []string{strconv.Itoa(k.Duplicates[1])}, CodeDuplicateValue)
	}
	return []finding{{at: e.InstanceLocation, code: codeOf(e.ErrorKind)}}
}

func codeOf(k jsonschema.ErrorKind) string {
	switch k.(type) {
	case *kind.Type:
		return CodeWrongType
	case *kind.Enum:
		return CodeValueNotOffered
	case *kind.Minimum:
		return CodeBelowMinimum
	case *kind.Maximum:
		return CodeAboveMaximum
	case *kind.MinLength:
		return CodeTooShort
	case *kind.MaxLength:
		return CodeTooLong
	case *kind.MinItems:
		return CodeTooFew
	case *kind.MaxItems:
		return CodeTooMany
	case *kind.Pattern:
		return CodeWrongFormat
	}
	// parseSchema admits no keyword that could fail in another way.
	return CodeInvalidValue
}

func perMember(at, members []string, code string) []finding {
	found := make([]finding, 0, len(members))
	for _, m := range members {
		found = append(found, finding{at: append(append([]string{}, at...), m), code: code})
	}
	return found
}
