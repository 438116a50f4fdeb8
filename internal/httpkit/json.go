package httpkit

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Media types of bodies.
const (
	MediaJSON    = "application/json"
	MediaProblem = "application/problem+json"
)

// MaxDepth is the maximum nesting of a request's JSON.
const MaxDepth = 32

// Number is a JSON number as it was written. In this form 1.0 and 1e2 are not integers.
type Number string

// ParseJSON parses one JSON value into maps, slices, strings, Numbers, booleans and nil. A member that occurs
// twice in an object, invalid UTF-8, NUL, nesting beyond MaxDepth, and anything after the value are faults of
// KindMalformed. A fault never quotes what was sent.
func ParseJSON(raw []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	v, err := parseValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, Malformed("There is text after the JSON value.")
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
		return Number(t.String()), nil
	case 't', 'f':
		return t.Bool(), nil
	default: // null
		return nil, nil
	}
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
			return nil, Malformed("This is not JSON.")
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
		return "", Malformed("A string contains a NUL character.")
	}
	return s, nil
}

// Malformed returns the fault for a body that cannot be parsed.
func Malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.KindMalformed, CodeMalformedJSON, format, args...)
}

func tooDeep() *fault.Error {
	return Malformed("The body is nested more than %d levels deep.", MaxDepth)
}

// syntaxFault returns the fault for an error of the decoder, without the decoder's own text.
func syntaxFault(d *jsontext.Decoder, err error) *fault.Error {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return Malformed("An object has the same member twice.")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Malformed("The body ends in the middle of a value.")
	}
	return Malformed("This is not JSON, or not UTF-8, near byte %d.", d.InputOffset())
}

// DecodeJSON decodes a body into v. Names must match exactly; an unknown member is an error, and so is a member
// that occurs twice.
func DecodeJSON(raw []byte, v any) error {
	return json.Unmarshal(raw, v, json.RejectUnknownMembers(true))
}

// EncodeJSON returns the body of an answer. It is compact and the members of maps are sorted, so that equal
// answers have equal bytes.
func EncodeJSON(v any) ([]byte, error) {
	return json.Marshal(v, json.Deterministic(true))
}

// CheckMediaType returns an error unless the Content-Type says JSON in UTF-8.
func CheckMediaType(contentType string) error {
	media, params, _ := strings.Cut(contentType, ";")
	charset := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(params), " ", ""))
	utf8 := charset == "" || charset == "charset=utf-8" || charset == `charset="utf-8"`
	if strings.EqualFold(strings.TrimSpace(media), MediaJSON) && utf8 {
		return nil
	}
	return &StatusError{
		Status: http.StatusUnsupportedMediaType, Code: CodeMediaType,
		Detail: "Send the body with Content-Type: application/json, in UTF-8.",
	}
}
