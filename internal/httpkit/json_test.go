package httpkit

import (
	"strings"
	"testing"
)

func FuzzParseJSONAcceptsOnlyWhatTheDecoderAccepts(f *testing.F) {
	for _, s := range []string{
		`{}`, `[1,"a",{"b":null}]`, `{"a":1,"a":2}`, "\xff", `"\u0000"`, `1e400`, strings.Repeat("[", 50),
		`{"a":{"b":[true,false]}} `,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := ParseJSON(raw); err != nil {
			return
		}
		var v any
		if err := DecodeJSON(raw, &v); err != nil && !strings.Contains(err.Error(), "float64") {
			t.Errorf("ParseJSON accepts what the decoder refuses: %q: %v", raw, err)
		}
	})
}
