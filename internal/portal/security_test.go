package portal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/portal"
	"github.com/platforma-cloud/orders/internal/portal/portaltest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var (
	inlineScript = regexp.MustCompile(`<script(?:>| [^>]*>)[^<]|\son[a-z]+=|javascript:`)
	inlineStyle  = regexp.MustCompile(`<style|\sstyle=`)
	foreignLink  = regexp.MustCompile(`(?:src|action|hx-post|sse-connect)="(?:https?:)?//`)
)

func TestEveryPageHasItsStatusItsHeadersAndNothingInline(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	people := map[tenant.MemberID]*person{{}: visitor(t, server)}
	for _, a := range []tenant.Actor{s.Ana, s.Olga, s.Adam, s.Vera, s.Bor} {
		people[a.Member] = signedIn(t, server, a)
	}
	want := map[string]string{
		"Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; " +
			"form-action 'self'",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8",
	}
	for _, page := range s.Pages {
		got := people[page.As.Member].get(page.Path)
		if got.status != page.Status {
			t.Errorf("%s: status %d, want %d", page.Name, got.status, page.Status)
		}
		for name, value := range want {
			if got.header.Get(name) != value {
				t.Errorf("%s: %s is %q, want %q", page.Name, name, got.header.Get(name), value)
			}
		}
		if !strings.Contains(strings.Join(got.header.Values("Cache-Control"), ","), "no-store") {
			t.Errorf("%s may be stored: %q", page.Name, got.header.Values("Cache-Control"))
		}
		for what, forbidden := range map[string]*regexp.Regexp{
			"script": inlineScript, "style": inlineStyle, "foreign address": foreignLink,
		} {
			if m := forbidden.FindString(got.body); m != "" {
				t.Errorf("%s holds an inline %s: %q", page.Name, what, m)
			}
		}
	}
}

func TestAuditorSeesEveryDeskPageAndNoFormThatWrites(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	vera := signedIn(t, serve(t, s, nil), s.Vera)
	writes := regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	for _, path := range []string{
		"/catalog", "/orders", "/orders/" + s.Orders["fulfilled"].String(), "/desk/refunds", "/desk/dead-letters",
		"/desk/figures", "/desk/routing", "/settings", "/account",
	} {
		page := vera.get(path)
		if page.status != http.StatusOK {
			t.Errorf("%s: status %d, want 200", path, page.status)
		}
		for _, m := range writes.FindAllStringSubmatch(page.body, -1) {
			if m[1] != "/sign-out" {
				t.Errorf("%s has a form that writes: %s", path, m[1])
			}
		}
	}
	for _, path := range []string{
		"/catalog/vps", "/account/key", "/desk/dead-letters/" + strings.Repeat("0", 8) + "-0000-0000-0000-000000000000",
	} {
		if got := vera.post(path, url.Values{"reason": {"x"}}); got.status != http.StatusForbidden {
			t.Errorf("POST %s: status %d, want 403", path, got.status)
		}
	}
}

func TestCustomerMayNotOpenTheDesk(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	for _, path := range []string{
		"/desk", "/desk/payments", "/desk/refunds", "/desk/dead-letters", "/desk/figures", "/desk/routing",
		"/orders/" + s.Orders["pending"].String() + "/payment",
	} {
		if got := ana.get(path); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", path, got.status)
		}
	}
	for _, action := range []string{"hold", "revert-payment"} {
		got := ana.post("/orders/"+s.Orders["paid"].String()+"/do/"+action, url.Values{"version": {"4"}, "reason": {"x"}})
		if got.status < 400 {
			t.Errorf("%s by a customer: status %d, want a refusal", action, got.status)
		}
	}
}

func TestFormFromAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	ana := signedIn(t, server, s.Ana)
	for name, header := range map[string][2]string{
		"a current browser": {"Sec-Fetch-Site", "cross-site"}, "an old browser": {"Origin", "https://evil.example"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/sign-out", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header[0], header[1])
		if got := ana.send(req); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", name, got.status)
		}
	}
	if got := ana.get("/account"); got.status != http.StatusOK {
		t.Errorf("the session is gone after a refused form: status %d", got.status)
	}
}

func TestSignInTakesANewTokenAndASafeCookie(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	plain, secure := serve(t, s, nil), serve(t, s, func(c *portal.Config) { c.Secure = true })
	cookie := func(server *httptest.Server, planted string) *http.Cookie {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/sign-in",
			strings.NewReader(url.Values{"user": {s.Ana.Member.String()}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if planted != "" {
			req.AddCookie(&http.Cookie{Name: "platforma", Value: planted})
		}
		resp, err := server.Client().Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		cookies := resp.Cookies()
		if len(cookies) == 0 {
			t.Fatalf("no cookie, status %d", resp.StatusCode)
		}
		return cookies[len(cookies)-1]
	}
	c := cookie(plain, "")
	if c.Name != "platforma" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 0 {
		t.Errorf("cookie %v is not HttpOnly, SameSite=Lax and limited to the browser's session", c)
	}
	if again := cookie(plain, c.Value); again.Value == c.Value {
		t.Error("a sign-in kept the token it came with")
	}
	if c := cookie(secure, ""); c.Name != "__Host-platforma" || !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %v does not fulfil what __Host- requires", c)
	}
}

func TestEleventhWrongKeyWithinAMinuteIsRefusedUnread(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := portaltest.NewStory(c.Now)
	server := serve(t, s, func(cfg *portal.Config) { cfg.Dev = false })
	somebody := visitor(t, server)
	for range 10 {
		if got := somebody.post("/sign-in", url.Values{"key": {"wrong"}}); got.status != http.StatusUnauthorized {
			t.Fatalf("a wrong key: status %d, want 401", got.status)
		}
	}
	got := somebody.post("/sign-in", url.Values{"key": {portaltest.KeyAna}})
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("the eleventh, right key: status %d, want 429 with Retry-After", got.status)
	}
	c.Advance(61 * time.Second)
	if got := somebody.post("/sign-in", url.Values{"key": {portaltest.KeyAna}}); got.status != http.StatusSeeOther {
		t.Errorf("a minute later: status %d, want 303", got.status)
	}
}

func TestDemoUsersSignInInDevAlone(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, func(cfg *portal.Config) { cfg.Dev = false })
	somebody := visitor(t, server)
	if page := somebody.get("/sign-in"); strings.Contains(page.body, "ana@acme.example") {
		t.Error("demo users are listed outside dev")
	}
	wantStatus(t, "a demo user outside dev", somebody.post("/sign-in", url.Values{
		"user": {s.Ana.Member.String()},
	}), http.StatusUnauthorized)
}

func TestRevokedMemberIsSignedOutAtTheNextRequest(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	s.Fake.RemoveMember(s.Ana.Member)
	if got := ana.get("/orders"); got.status != http.StatusSeeOther || !strings.HasPrefix(got.to, "/sign-in") {
		t.Errorf("status %d to %q, want the sign-in page", got.status, got.to)
	}
}

func TestMoneyKeysAndPassphrasesAskForAFreshSignIn(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := portaltest.NewStory(c.Now)
	server := serve(t, s, nil)
	olga, ana := signedIn(t, server, s.Olga), signedIn(t, server, s.Ana)
	fulfilled := ana.get("/orders/" + s.Orders["fulfilled"].String())
	passphrase := regexp.MustCompile(`/orders/[^"]*/passphrase`).FindString(fulfilled.body)
	c.Advance(5*time.Minute + time.Second)
	paid, pending := "/orders/"+s.Orders["paid"].String(), "/orders/"+s.Orders["pending"].String()
	for _, got := range []struct {
		what string
		answer
	}{
		{"the payment form", olga.get(pending + "/payment")},
		{"a payment", olga.post(pending+"/payment", url.Values{
			"version": {"2"}, "reference": {"x"}, "amount": {"350.00"}, "paid_at": {"2026-03-02T10:00"},
		})},
		{"a revert", olga.post(paid+"/do/revert-payment", url.Values{"version": {"4"}, "reason": {"x"}})},
		{"a delivery key", ana.post("/account/key", url.Values{"key": {"-----BEGIN PGP PUBLIC KEY BLOCK-----"}})},
		{"a passphrase", ana.post(passphrase, nil)},
	} {
		if got.status != http.StatusSeeOther || !strings.HasPrefix(got.to, "/sign-in/again?next=") {
			t.Errorf("%s after five minutes: status %d to %q, want to sign in again", got.what, got.status, got.to)
		}
	}
	wantStatus(t, "signing in again as somebody else", ana.post("/sign-in/again", url.Values{
		"user": {s.Olga.Member.String()}, "next": {"/account"},
	}), http.StatusUnauthorized)
	again := url.Values{"user": {s.Ana.Member.String()}, "next": {"/account"}}
	if got := ana.post("/sign-in/again", again); got.to != "/account" {
		t.Errorf("signing in again: status %d to %q, want /account", got.status, got.to)
	}
	if got := ana.post(passphrase, nil); got.status != http.StatusOK {
		t.Errorf("a passphrase after a fresh sign-in: status %d, want 200", got.status)
	}
}

func TestSignInLeadsOnlyToPagesOfThisSite(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	want := map[string]string{
		"/orders?q=1": "/orders?q=1", "//evil.example": "/", "https://evil.example": "/", "/\\evil.example": "/", "": "/",
		"/a\nb": "/",
	}
	got := map[string]string{}
	for next := range want {
		got[next] = visitor(t, server).post("/sign-in", url.Values{"user": {s.Ana.Member.String()}, "next": {next}}).to
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("where a sign-in leads (-want +got):\n%s", diff)
	}
}

func TestTextOfACustomerIsNeverMarkup(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	bor := signedIn(t, serve(t, s, nil), s.Bor)
	form := vpsForm()
	form.Set("label", `<img src=x onerror=alert(1)>`)
	form.Set("do", "add")
	added := bor.post("/catalog/vps", form)
	page := bor.get(added.to)
	if strings.Contains(page.body, "<img") {
		t.Error("a label came out as markup")
	}
	mustContain(t, page, "&lt;img src=x onerror=alert(1)&gt;")
}

func TestLargeFormIsRefused(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	wantStatus(t, "70 KiB", ana.post("/account/key", url.Values{
		"key": {strings.Repeat("x", 70<<10)},
	}), http.StatusRequestEntityTooLarge)
}

func TestInternalFaultShowsOnlyItsRequestID(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	s.Fake.Break("Orders", errors.New("dial tcp 10.0.0.5: password=hunter2"))
	s.Fake.Panic("Catalog", "hunter2")
	handler := portal.New(s.Fake, portal.Config{
		Dev: true, Now: s.Fake.Now, RequestID: func() string { return "req-42" },
		Users: []portal.DemoUser{{
			Tenant: s.Acme, TenantName: "Acme", Member: s.Ana.Member, Role: tenant.Customer,
			Email: "ana@acme.example",
		}},
	})
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	ana := signedIn(t, server, s.Ana)
	for _, path := range []string{"/orders", "/catalog"} {
		got := ana.get(path)
		if got.status != http.StatusInternalServerError {
			t.Errorf("%s: status %d, want 500", path, got.status)
		}
		mustContain(t, got, "Our fault", "req-42")
		if strings.Contains(got.body, "hunter2") || strings.Contains(got.body, "10.0.0.5") {
			t.Errorf("%s shows the internal error", path)
		}
	}
}
