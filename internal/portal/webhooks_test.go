package portal_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app/apptest"
	"github.com/platforma-cloud/orders/internal/portal/portaltest"
)

var webhookPath = regexp.MustCompile(`/settings/webhooks/[0-9a-f-]{36}`)

func TestAWebhooksSecretIsShownOnlyWhereItWasMade(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	adam := signedIn(t, server, s.Adam)
	got := adam.post("/settings/webhooks", url.Values{
		"url": {"https://hooks.acme.example/new"}, "types": {"order.created"},
	})
	if got.status != http.StatusOK || strings.Count(got.body, "data-phrase>"+apptest.Secret) != 1 {
		t.Fatalf("add: %d, the secret is not shown: %s", got.status, got.body)
	}
	path := webhookPath.FindString(got.body)
	for _, p := range []string{"/settings/webhooks", path} {
		if page := adam.get(p); page.status != http.StatusOK || strings.Contains(page.body, apptest.Secret) ||
			!strings.Contains(page.body, "https://hooks.acme.example/new") {
			t.Errorf("%s: %d, or it shows the secret, or not the webhook", p, page.status)
		}
	}
	rotated := adam.post(path, url.Values{"do": {"rotate"}, "version": {"1"}, "overlap": {"24"}})
	if rotated.status != http.StatusOK || !strings.Contains(rotated.body, apptest.Secret) {
		t.Errorf("rotate: %d: %s", rotated.status, rotated.body)
	}
	if stale := adam.post(path, url.Values{
		"do": {"rotate"}, "version": {"1"}, "overlap": {"24"},
	}); stale.status != http.StatusConflict {
		t.Errorf("the same form again: %d, want 409", stale.status)
	}
}

func TestAWebhookIsDisabledEnabledReplayedAndDeletedOnItsPage(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	adam := signedIn(t, serve(t, s, nil), s.Adam)
	path := "/settings/webhooks/" + s.Webhooks["active"].String()
	for i, step := range []struct{ do, shows string }{{"disable", "Take it back into service"}, {"enable", "Disable"}} {
		got := adam.post(path, url.Values{"do": {step.do}, "version": {strconv.Itoa(i + 1)}})
		if got.status != http.StatusSeeOther || got.to != path {
			t.Fatalf("%s: %d to %q: %s", step.do, got.status, got.to, got.body)
		}
		if page := adam.get(path); !strings.Contains(page.body, step.shows) {
			t.Errorf("after %s the page does not offer %q", step.do, step.shows)
		}
	}
	delivery := path + "/deliveries/" + s.WebhookDelivery.String()
	if got := adam.post(delivery+"/replay", nil); got.status != http.StatusSeeOther || got.to != delivery {
		t.Errorf("replay: %d to %q", got.status, got.to)
	}
	wrong := adam.post(path, url.Values{"url": {"http://hooks.acme.example/"}, "description": {"typed"}, "version": {"3"}})
	if wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, "over https only") ||
		!strings.Contains(wrong.body, `value="typed"`) {
		t.Errorf("a wrong address: %d, want the form again with what was typed", wrong.status)
	}
	if got := adam.post(path, url.Values{"do": {"delete"}, "version": {"3"}}); got.to != "/settings/webhooks" {
		t.Errorf("delete: %d to %q", got.status, got.to)
	}
	if got := adam.get(path); got.status != http.StatusNotFound {
		t.Errorf("the deleted webhook's page: %d", got.status)
	}
}

func TestAnAdminChangesWebhooksAndAnAuditorReadsThem(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	path := "/settings/webhooks/" + s.Webhooks["active"].String()
	vera, olga, bor := signedIn(t, server, s.Vera), signedIn(t, server, s.Olga), signedIn(t, server, s.Bor)
	got := vera.get(path)
	if got.status != http.StatusOK || strings.Contains(got.body, `<button type="submit" name="do"`) ||
		strings.Contains(got.body, "Post again") {
		t.Errorf("the auditor's page: %d, or it offers a change", got.status)
	}
	for _, target := range []string{
		"/settings/webhooks", path, path + "/deliveries/" + s.WebhookDelivery.String() + "/replay",
	} {
		if got := vera.post(target, url.Values{"version": {"1"}, "do": {"delete"}}); got.status != http.StatusForbidden {
			t.Errorf("the auditor posts to %s: %d, want 403", target, got.status)
		}
		if got := olga.post(target, url.Values{"version": {"1"}, "do": {"delete"}}); got.status != http.StatusForbidden {
			t.Errorf("the operator posts to %s: %d, want 403", target, got.status)
		}
	}
	if got := bor.get(path); got.status != http.StatusForbidden {
		t.Errorf("a customer of another organisation reads it: %d", got.status)
	}
}

func TestANewSecretAsksForAFreshSignIn(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := portaltest.NewStory(c.Now)
	adam := signedIn(t, serve(t, s, nil), s.Adam)
	c.Advance(6 * time.Minute)
	path := "/settings/webhooks/" + s.Webhooks["active"].String()
	for target, form := range map[string]url.Values{
		"/settings/webhooks": {"url": {"https://hooks.acme.example/"}},
		path:                 {"do": {"rotate"}, "version": {"1"}, "overlap": {"0"}},
	} {
		if got := adam.post(target, form); !strings.HasPrefix(got.to, "/sign-in/again") {
			t.Errorf("%s: %d to %q, want a fresh sign-in first", target, got.status, got.to)
		}
	}
}
