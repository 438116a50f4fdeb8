package portal_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/portal/portaltest"
)

func TestEverySettingCanBeSetOnThePage(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	adam := signedIn(t, serve(t, s, nil), s.Adam)
	before, err := s.Fake.Settings(t.Context(), app.Caller{Actor: s.Adam})
	if err != nil {
		t.Fatal(err)
	}
	page := adam.get("/settings")
	form := url.Values{
		"version": {hidden(t, page, "version")}, "name": {"Acme Cloud"}, "currency": {"CHF"},
		"time_zone": {"Europe/Vienna"}, "language": {"sl"}, "payment_method": {"demo"}, "safety_window": {"10"},
		"payment_due_days": {"21"}, "quote_valid_days": {"45"}, "single_cycle": {"on"}, "require_idempotency_key": {"on"},
		"brand_color": {"#000080"}, "brand_contrast": {"#fffffe"},
	}
	if got := adam.post("/settings", form); got.status != http.StatusSeeOther {
		t.Fatalf("save: status %d, want 303", got.status)
	}
	after, err := s.Fake.Settings(t.Context(), app.Caller{Actor: s.Adam})
	if err != nil {
		t.Fatal(err)
	}
	was, is := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range was.NumField() {
		name := was.Type().Field(i).Tag.Get("json")
		if name == "-" {
			continue
		}
		if !strings.Contains(page.body, `name="`+name+`"`) {
			t.Errorf("the page has no control for %s: add it to settingsFields in internal/portal/settings.templ", name)
		}
		if !form.Has(name) {
			t.Errorf("this test sets no %s: add a new value to its form", name)
		}
		if cmp.Equal(was.Field(i).Interface(), is.Field(i).Interface()) {
			t.Errorf("%s was sent and not changed: read it in putSettings in internal/portal/settings.go", name)
		}
	}
}
