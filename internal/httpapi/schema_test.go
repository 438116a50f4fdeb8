package httpapi

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/platforma-cloud/orders/internal/event"
)

func TestSchemaOfEveryEventTypeIsServed(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, typ := range event.Types() {
		want, ok := event.Schema(typ, event.Major)
		if !ok {
			t.Fatalf("%s has no schema", typ)
		}
		w := k.do("GET", event.SchemaPath(typ), "", "Authorization", "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/schema+json" ||
			!bytes.Equal(want, w.Body.Bytes()) {
			t.Errorf("GET %s = %d %s, %d bytes", event.SchemaPath(typ), w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
	}
	for _, path := range []string{
		"/schemas/events/order.created/2.json", "/schemas/events/order.created/1", "/schemas/events/order.vanished/1.json",
		"/schemas/events/..%2Forder.created/1.json", "/schemas/",
	} {
		if w := k.do("GET", path, "", "Authorization", ""); w.Code != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, w.Code)
		}
	}
}
