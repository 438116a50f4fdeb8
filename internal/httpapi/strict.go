package httpapi

import (
	"encoding/json"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

// jsonFormat makes huma decode and encode bodies as httpkit does: with exact names, and without unknown or repeated
// members.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			b, err := httpkit.EncodeJSON(v)
			if err != nil {
				return err
			}
			_, err = w.Write(b)
			return err
		},
		Unmarshal: httpkit.DecodeJSON,
	}
}

// object is a JSON object that is passed on unchanged, such as an item's configuration, which the catalogue checks.
type object json.RawMessage

// MarshalJSON returns the object unchanged, or an empty object if there is none.
func (o object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("{}"), nil
	}
	return o, nil
}

// UnmarshalJSON stores the object unchanged.
func (o *object) UnmarshalJSON(b []byte) error {
	*o = append((*o)[:0], b...)
	return nil
}

// Schema documents an object with any members.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}
