package httpapi

import (
	"encoding/json"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

// jsonFormat is how huma reads and writes bodies: exact names, nothing unknown, nothing twice.
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

// object is a JSON object that is passed on as it came, such as an item's configuration: the catalogue
// checks it.
type object json.RawMessage

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
