package main_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// visitor uses the portal as a person would, but without a browser: with pages, forms and a cookie.
type visitor struct {
	t     *testing.T
	base  string
	http  *http.Client
	pages *outputBuffer // every page that open has read
}

// signIn signs in as a demo user, through the page's own form.
func (d *dev) signIn(role string) visitor {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	v := visitor{t: d.t, base: d.Portal, http: &http.Client{Jar: jar, Timeout: 30 * time.Second}, pages: &outputBuffer{}}
	_, page := v.do(http.MethodPost, "/sign-in", url.Values{"user": {d.user(d.t, role).ID}})
	if !strings.Contains(page, d.user(d.t, role).Email) && !strings.Contains(page, "sign-out") {
		d.t.Fatalf("the %s is not signed in:\n%s", role, page)
	}
	return v
}

// do sends a request as a browser on the portal's own page would.
func (v visitor) do(method, path string, form url.Values) (int, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(page)
}

// open reads a page and keeps it.
func (v visitor) open(path string) string {
	v.t.Helper()
	status, page := v.do(http.MethodGet, path, nil)
	if status != http.StatusOK {
		v.t.Errorf("GET %s: %d\n%s", path, status, page)
	}
	_, _ = v.pages.Write([]byte(page))
	return page
}

var (
	phraseForm = regexp.MustCompile(`action="(/orders/[0-9a-f-]+/deliveries/([0-9a-f-]+)/passphrase)"`)
	phrase     = regexp.MustCompile(`<code data-phrase>([^<]+)</code>`)
)

// takePassphrases presses every "Show passphrase once" on an order's page twice, and returns what was shown the
// first time, by delivery. The second time must show nothing.
func (v visitor) takePassphrases(order string) map[string]string {
	v.t.Helper()
	shown := map[string]string{}
	for _, form := range phraseForm.FindAllStringSubmatch(v.open("/orders/"+order), -1) {
		status, page := v.do(http.MethodPost, form[1], nil)
		found := phrase.FindStringSubmatch(page)
		if status != http.StatusOK || found == nil {
			v.t.Fatalf("POST %s: %d, no passphrase", form[1], status)
		}
		shown[form[2]] = found[1]
		if second, page := v.do(http.MethodPost, form[1], nil); second < 400 || strings.Contains(page, found[1]) {
			v.t.Errorf("the passphrase of delivery %s is shown a second time: %d", form[2], second)
		}
	}
	return shown
}
