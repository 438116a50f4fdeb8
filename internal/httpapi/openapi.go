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

// example is what the document shows for an operation, by its id. Tests hold both against the schemas.
type example struct {
	Request  any `json:"request"`
	Response any `json:"response"`
}

//go:embed examples.json
var examplesJSON []byte

func readExamples() map[string]example {
	d := stdjson.NewDecoder(bytes.NewReader(examplesJSON))
	d.UseNumber()
	var all map[string]example
	if err := d.Decode(&all); err != nil {
		panic(fmt.Sprintf("httpapi: embedded examples: %v", err))
	}
	return all
}

// schemaName names a schema after its type: orderView is Order, createBody CreateBody.
func schemaName(t reflect.Type, hint string) string {
	return strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "View", "")
}

const about = `From cart to delivered cloud service, with its payment, its refunds and its proof.

**Money** is a decimal string with its currency. **Times** are RFC 3339 in UTC. **Errors** are problem documents (RFC 9457) with a stable code.
**Writes** take an Idempotency-Key: the same key with the same request answers the same bytes, marked ` +
	"`Idempotent-Replayed: true`" + `.
**Versions**: send the version you read, in the body (409 when it moved) or as If-Match (412).
**Lists** answer ` + "`data` and `next_cursor`" + `, and a Link header to the next page.
Credentials of delivered services are in no answer, ever: they are mailed, encrypted.`

// describe finishes the OpenAPI document and writes it.
func describe(api huma.API) []byte {
	doc := api.OpenAPI()
	doc.Info = &huma.Info{
		Title: "Platforma Orders", Version: Version, Description: about, License: &huma.License{
			Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0",
		},
	}
	doc.Servers = []*huma.Server{{URL: "/"}}
	doc.Tags = []*huma.Tag{
		{Name: "catalogue", Description: "What is sold, and for how much."},
		{Name: "orders", Description: "From cart to cancelled."},
		{Name: "payments", Description: "Money in, and back before provisioning."},
		{Name: "timeline", Description: "What happened, as it happens."},
		{Name: "operations", Description: "The operator's desk."},
		{Name: "account", Description: "The caller's own, and the organisation's settings."},
		{Name: "webhooks", Description: "Events posted to endpoints of your own, signed as Standard Webhooks asks. Every " +
			"write answers once; deliveries are at least once."},
		{Name: "public", Description: "Without a key."},
	}
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"apiKey": {
			Type: "http", Scheme: "bearer",
			Description: "An API key of your organisation. It acts as its member, with the member's role or fewer rights.",
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
