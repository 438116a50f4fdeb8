package httpapi

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/platforma-cloud/orders/internal/fault"
)

const (
	applicationJSON = "application/json"
	problemJSON     = "application/problem+json"

	codeMalformedJSON = "malformed-json"
)

// number is a JSON number as it was written: 1.0 and 1e2 are no integers here.
type number string

// parseJSON reads one JSON value into maps, slices, strings, numbers, booleans and nil. Refused, as
// KindMalformed, are members that stand twice, invalid UTF-8, NUL, nesting beyond MaxDepth, and
// anything after the value. What was sent is never quoted.
func parseJSON(raw []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	v, err := parseValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, malformed("Something follows the JSON value.")
	}
	return v, nil
}

func parseValue(d *jsontext.Decoder) (any, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, syntaxFault(d, err)
	}
	switch t.Kind() {
	case '{':
		return parseObject(d)
	case '[':
		return parseArray(d)
	case '"':
		return parseText(t.String())
	case '0':
		return number(t.String()), nil
	case 't', 'f':
		return t.Bool(), nil
	}
	return nil, nil
}

func parseObject(d *jsontext.Decoder) (any, error) {
	if d.StackDepth() > MaxDepth {
		return nil, tooDeep()
	}
	object := map[string]any{}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, syntaxFault(d, err)
		}
		if t.Kind() != '"' {
			return nil, malformed("This is not JSON.")
		}
		name, err := parseText(t.String())
		if err != nil {
			return nil, err
		}
		if object[name], err = parseValue(d); err != nil {
			return nil, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, syntaxFault(d, err)
	}
	return object, nil
}

func parseArray(d *jsontext.Decoder) (any, error) {
	if d.StackDepth() > MaxDepth {
		return nil, tooDeep()
	}
	array := []any{}
	for d.PeekKind() != ']' {
		v, err := parseValue(d)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, syntaxFault(d, err)
	}
	return array, nil
}

func parseText(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", malformed("A text holds a NUL character.")
	}
	return s, nil
}

func malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.KindMalformed, codeMalformedJSON, format, args...)
}

func tooDeep() *fault.Error {
	return malformed("The body nests deeper than %d levels.", MaxDepth)
}

// syntaxFault says in our words where reading stopped.
func syntaxFault(d *jsontext.Decoder, err error) *fault.Error {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return malformed("A member stands twice in one object.")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return malformed("The body ends in the middle of a value.")
	}
	return malformed("This is not JSON, or not UTF-8, near byte %d.", d.InputOffset())
}

// jsonFormat is how huma reads and writes bodies: exact names, nothing unknown, nothing twice.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			b, err := encodeJSON(v)
			if err != nil {
				return err
			}
			_, err = w.Write(b)
			return err
		},
		Unmarshal: func(data []byte, v any) error {
			return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
		},
	}
}

// encodeJSON writes an answer's body: compact, members of maps sorted, so that the same answer is the
// same bytes.
func encodeJSON(v any) ([]byte, error) {
	return json.Marshal(v, json.Deterministic(true))
}

// object is a JSON object that is passed on as it came, such as an item's configuration: the catalogue
// checks it.
type object stdjson.RawMessage

// MarshalJSON writes it as it is; none is an empty object.
func (o object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("{}"), nil
	}
	return o, nil
}

// UnmarshalJSON keeps it as it is.
func (o *object) UnmarshalJSON(b []byte) error {
	*o = append((*o)[:0], b...)
	return nil
}

// Schema documents it.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// contentFault refuses a body that does not say it is JSON in UTF-8.
func contentFault(contentType string) error {
	media, params, _ := strings.Cut(contentType, ";")
	charset := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(params), " ", ""))
	if strings.EqualFold(strings.TrimSpace(media), applicationJSON) && (charset == "" || charset == "charset=utf-8" || charset == `charset="utf-8"`) {
		return nil
	}
	return &statusFault{status: http.StatusUnsupportedMediaType, code: codeMediaType, detail: "Send the body with Content-Type: application/json, in UTF-8."}
}

// statusFault is a fault that only HTTP has, so that no kind stands for it.
type statusFault struct {
	status              int
	code, detail, allow string
}

// Error is the code and its detail.
func (f *statusFault) Error() string { return fmt.Sprintf("%s: %s", f.code, f.detail) }
