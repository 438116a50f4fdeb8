package httpapi

import (
	"bytes"
	_ "embed"
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// example holds the examples of an operation in the OpenAPI document. Tests check both against the schemas.
type example struct {
	Request  any `json:"request"`
	Response any `json:"response"`
}

//go:embed examples.json
var examplesJSON []byte

// readExamples returns the embedded examples by operationId.
func readExamples() map[string]example {
	d := stdjson.NewDecoder(bytes.NewReader(examplesJSON))
	d.UseNumber()
	var examples map[string]example
	if err := d.Decode(&examples); err != nil {
		panic(fmt.Sprintf("httpapi: embedded examples: %v", err))
	}
	return examples
}

// schemaName returns the name of a type's schema. The schema of orderView is Order, and that of createOrderBody is
// CreateOrderBody.
func schemaName(t reflect.Type, hint string) string {
	return strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "View", "")
}

const about = `Order cloud services, pay for them, follow how they are provisioned, and operate what needs a person.

**Money** is a decimal string with its currency. **Times** are RFC 3339 in UTC.
**Errors** are problem documents (RFC 9457) with a stable code.
**Writes** take an Idempotency-Key. A repeated request with the same key gets the same bytes again, marked ` +
	"`Idempotent-Replayed: true`" + `.
**Versions**: send the version that you read, in the body (a mismatch is a 409) or as If-Match (a mismatch is a 412).
**Lists** return ` + "`data` and `next_cursor`" + `, and a Link header to the next page.
No answer ever contains the credentials of a delivered service: they are encrypted and mailed.`

// describe completes the OpenAPI document and returns it as JSON.
func describe(api huma.API) []byte {
	doc := api.OpenAPI()
	doc.Info = &huma.Info{
		Title: "Platforma Orders", Version: Version, Description: about, License: &huma.License{
			Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0",
		},
	}
	doc.Servers = []*huma.Server{{URL: "/"}}
	doc.Tags = []*huma.Tag{
		{Name: "catalogue", Description: "Products and prices."},
		{Name: "orders", Description: "The life of an order, from draft to fulfilled or cancelled."},
		{Name: "payments", Description: "Confirming payments, and reverting them before provisioning."},
		{Name: "timeline", Description: "The events of an order, and how it was provisioned."},
		{Name: "operations", Description: "For operators: dead letters, refunds to make by hand, figures and event routing."},
		{Name: "account", Description: "The caller's own member and key, and the organisation's settings."},
		{Name: "webhooks", Description: "Events that are posted to your own endpoints, signed according to Standard " +
			"Webhooks. An event is delivered at least once."},
		{Name: "public", Description: "Routes that need no API key."},
	}
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"apiKey": {
			Type: "http", Scheme: "bearer",
			Description: "An API key of your organisation. It has the rights of its member's role, or only some of them.",
		},
	}
	compact, err := stdjson.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("httpapi: OpenAPI document: %v", err))
	}
	var out bytes.Buffer
	if err := stdjson.Indent(&out, compact, "", "  "); err != nil {
		panic(fmt.Sprintf("httpapi: OpenAPI document: %v", err))
	}
	out.WriteByte('\n')
	return out.Bytes()
}
