package portal

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/catalog"
)

func TestFormOfEveryProductSendsItsDefaultBack(t *testing.T) {
	t.Parallel()
	cat, err := catalog.Load(catalog.Default(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, product := range cat.Products() {
		fields, err := parseFields(product.Schema)
		if err != nil {
			t.Fatalf("%s: %v", product.ID, err)
		}
		sent, err := configurationOf(entered(fields, formOf(filled(fields, product.Default.Configuration))))
		if err != nil {
			t.Fatalf("%s: %v", product.ID, err)
		}
		if diff := cmp.Diff(decoded(t, product.Default.Configuration), decoded(t, sent)); diff != "" {
			t.Errorf("%s (-default +sent):\n%s", product.ID, diff)
		}
	}
}

// formOf returns what a browser sends for the fields.
func formOf(fields []field) url.Values {
	form := url.Values{}
	for _, f := range fields {
		switch {
		case len(f.Fields) > 0:
			for name, v := range formOf(f.Fields) {
				form[name] = v
			}
		case f.Type == "boolean" && !f.On:
		case f.Type == "boolean":
			form.Set(f.Name(), "on")
		default:
			form.Set(f.Name(), f.Value)
		}
	}
	return form
}

func decoded(t *testing.T, raw json.RawMessage) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
