package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a JSON document may nest. The API has the same limit.
const maxDepth = 32

// errDuplicate is the fault of an object that has a member twice.
var errDuplicate = errors.New("an object has a member twice")

// decodeStrict reads one JSON value with nothing after it, and its numbers as json.Number. It refuses invalid
// UTF-8, NUL, duplicate members and nesting beyond maxDepth, all of which encoding/json accepts.
func decodeStrict(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	// Decoder.Token checks less than Valid does.
	if !json.Valid(data) {
		return nil, errors.New("not valid JSON")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("not valid JSON")
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return decodeObject(d, depth)
		}
		return decodeArray(d, depth)
	case string:
		if strings.ContainsRune(t, 0) {
			return nil, errors.New("NUL in a text")
		}
	}
	return t, nil
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errors.New("not valid JSON")
		}
		member, _ := key.(string)
		if strings.ContainsRune(member, 0) {
			return nil, errors.New("NUL in a member's name")
		}
		if _, duplicate := object[member]; duplicate {
			return nil, errDuplicate
		}
		if object[member], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

func decodeArray(d *json.Decoder, depth int) (any, error) {
	array := []any{}
	for d.More() {
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	_, err := d.Token()
	return array, err
}

// decodeExact reads data into a struct. It is as strict as decodeStrict and also refuses members that the struct
// does not have in exactly this spelling: encoding/json would accept "Plans" for "plans".
func decodeExact(data []byte, into any) error {
	v, err := decodeStrict(data)
	if err != nil {
		return err
	}
	if err := exactNames(v, reflect.TypeOf(into).Elem(), ""); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// exactNames compares the member names of a document with the type that it is read into.
func exactNames(v any, t reflect.Type, at string) error {
	if t == reflect.TypeFor[json.RawMessage]() || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return exactNames(v, t.Elem(), at)
	case reflect.Slice:
		items, _ := v.([]any)
		for i, item := range items {
			if err := exactNames(item, t.Elem(), at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	case reflect.Map, reflect.Struct:
		object, _ := v.(map[string]any)
		for key, member := range object {
			inner, ok := memberType(t, key)
			if !ok {
				return fmt.Errorf("unknown member %s/%s", at, escape(key))
			}
			if err := exactNames(member, inner, at+"/"+escape(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// memberType returns the type that a member is read into.
func memberType(t reflect.Type, key string) (reflect.Type, bool) {
	if t.Kind() == reflect.Map {
		return t.Elem(), true
	}
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if tag == key {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

// encode writes a value with sorted members, compact and without HTML escapes. This is the canonical form in
// which a configuration is stored.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// escape writes a member's name as a JSON pointer's token (RFC 6901).
func escape(token string) string {
	if !strings.ContainsAny(token, "~/") {
		return token
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

// pointer joins tokens into a JSON pointer.
func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString("/" + escape(t))
	}
	return b.String()
}

// tokens splits a JSON pointer.
func tokens(p string) []string {
	if p == "" {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(parts[i], "~1", "/"), "~0", "~")
	}
	return parts
}

// lookup finds the value at a JSON pointer in a decoded document.
func lookup(v any, p string) (any, bool) {
	for _, t := range tokens(p) {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[t]; !ok {
			return nil, false
		}
	}
	return v, true
}
