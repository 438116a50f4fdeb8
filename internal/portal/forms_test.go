package portal_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/portal/portaltest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// clock is a clock that only Advance moves.
type clock struct {
	mu sync.Mutex // guards t
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// person is a browser without scripts.
type person struct {
	t    testing.TB
	base string
	http *http.Client
}

func visitor(t testing.TB, server *httptest.Server) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{
		t, server.URL, &http.Client{
			Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// signedIn returns a person with a session.
func signedIn(t testing.TB, server *httptest.Server, a tenant.Actor) *person {
	t.Helper()
	p := visitor(t, server)
	if got := p.post("/sign-in", url.Values{"user": {a.Member.String()}}); got.status != http.StatusSeeOther {
		t.Fatalf("sign in: status %d", got.status)
	}
	return p
}

type answer struct {
	status int
	to     string
	header http.Header
	body   string
}

func (p *person) get(path string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.send(req)
}

func (p *person) post(path string, form url.Values) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.send(req)
}

func (p *person) send(req *http.Request) answer {
	p.t.Helper()
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(body)}
}

func wantStatus(t testing.TB, what string, got answer, want int) {
	t.Helper()
	if got.status != want {
		t.Errorf("%s: status %d, want %d", what, got.status, want)
	}
}

func mustContain(t testing.TB, page answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page (status %d) does not say %q", page.status, text)
		}
	}
}

func hidden(t testing.TB, page answer, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page.body)
	if m == nil {
		t.Fatalf("the page (status %d) has no member %s", page.status, name)
	}
	return m[1]
}

func vpsForm() url.Values {
	return url.Values{
		"plan": {"core"}, "region": {"lj-1"}, "billing_cycle": {"monthly"}, "label": {"web-1"}, "c/os_image": {"debian-12"},
		"c/ssh_public_keys": {""},
	}
}

func TestEveryFormWorksWithoutScriptsFromConfiguratorToOrder(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	bor := signedIn(t, serve(t, s, nil), s.Bor)

	form := vpsForm()
	form.Set("do", "price")
	priced := bor.post("/catalog/vps", form)
	mustContain(t, priced, "€10.00", "web-1")
	if priced.status != http.StatusOK {
		t.Errorf("recalculate: status %d, want 200", priced.status)
	}

	form.Set("do", "add")
	added := bor.post("/catalog/vps", form)
	if added.status != http.StatusSeeOther || !strings.HasSuffix(added.to, "/cart") {
		t.Fatalf("add: status %d to %q, want 303 to the cart", added.status, added.to)
	}
	form.Set("label", "web-2")
	form.Set("billing_cycle", "annual")
	if again := bor.post("/catalog/vps", form); again.to != added.to {
		t.Errorf("the second item went to %q, want the same cart %q", again.to, added.to)
	}
	cart := bor.get(added.to)
	mustContain(t, cart, "web-1", "web-2", "€10.00", "€96.00", "€106.00", "All or nothing", "Item by item")

	submitted := bor.post(added.to, url.Values{
		"version": {hidden(t, cart, "version")}, "expected_total": {hidden(t, cart, "expected_total")},
		"policy": {"all_or_nothing"}, "external_id": {"po-1"}, "payment_method": {"manual"}, "do": {"submit"},
	})
	if submitted.status != http.StatusSeeOther {
		t.Fatalf("submit: status %d", submitted.status)
	}
	page := bor.get(submitted.to)
	mustContain(t, page, "Waiting for the payment of €106.00.", "all or nothing", "po-1",
		"Nothing is built before the money is confirmed.")
}

func TestFaultyFormNamesEveryFaultAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	bor := signedIn(t, serve(t, s, nil), s.Bor)
	form := url.Values{
		"region": {"hetzner-fsn1"}, "billing_cycle": {"monthly"}, "c/workers": {"2"}, "c/storage_gb": {"many"},
		"c/storage_class": {"standard"}, "do": {"add"},
	}
	got := bor.post("/catalog/kubernetes", form)
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("status %d, want 422", got.status)
	}
	mustContain(t, got, "3 things need your attention", "Workers must be at least 3.", "Storage must be a whole number.",
		"Region must be one of: lj-1, mb-1.", `aria-invalid="true"`, `value="many"`)
	if cart := bor.get("/cart"); !strings.Contains(cart.body, "Your cart is empty.") {
		t.Error("the cart is not empty after a refused form")
	}
}

func TestLiveQuoteSwapsPriceAndFaultsAndNeverTheForm(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	form := url.Values{
		"plan": {"production"}, "region": {"lj-1"}, "billing_cycle": {"monthly"}, "c/engine": {"postgresql-16"},
		"c/storage_gb": {"500"}, "c/high_availability": {"on"},
	}
	good := ana.post("/catalog/database/quote", form)
	mustContain(t, good, `id="quote"`, "€240.00", "€250.00", "€490.00", `id="total"`, `id="fault-c-storage_gb"`,
		`hx-swap-oob="true"`)
	if strings.Contains(good.body, "<input") || strings.Contains(good.body, "<html") {
		t.Error("the quote sends form controls or a whole page")
	}
	form.Set("c/storage_gb", "1")
	bad := ana.post("/catalog/database/quote", form)
	if bad.status != http.StatusOK {
		t.Errorf("a quote with faults: status %d, want 200, because faults are part of the answer", bad.status)
	}
	mustContain(t, bad, "Storage must be at least 20.", "no price yet")
}

func TestDefaultFormOfEveryProductIsAccepted(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	want := map[string]string{
		"vps": "€20.10", "kubernetes": "€500.00", "database": "€65.00", "gpu": "€1,450.00", "private_cloud": "€1,750.00",
		"object_storage": "€20.00",
	}
	for product, due := range want {
		page := ana.get("/catalog/" + product)
		mustContain(t, page, `<span class="unseen">Due now: </span>`+due)
	}
}

func TestItemOfTheCartIsChangedAndRemoved(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	here := "/orders/" + s.Orders["draft"].String() + "/cart"
	cart := ana.get(here)
	edit := regexp.MustCompile(`/catalog/vps\?order=[^"]*`).FindString(cart.body)
	edit = strings.ReplaceAll(edit, "&amp;", "&")
	sheet := ana.get(edit)
	mustContain(t, sheet, "Change Virtual server", "Save the change", `value="web-1"`)
	form := vpsForm()
	form.Set("order", hidden(t, sheet, "order"))
	form.Set("item", hidden(t, sheet, "item"))
	form.Set("label", "web-renamed")
	if got := ana.post("/catalog/vps", form); got.to != here {
		t.Fatalf("change: status %d to %q, want the cart", got.status, got.to)
	}
	cart = ana.get(here)
	mustContain(t, cart, "web-renamed was changed.", "€10.00")
	got := ana.post(here, url.Values{
		"version": {hidden(t, cart, "version")}, "policy": {"per_item"}, "external_id": {"po-draft"},
		"remove": {hidden(t, sheet, "item")},
	})
	if got.status != http.StatusSeeOther {
		t.Fatalf("remove: status %d", got.status)
	}
	if cart = ana.get(here); strings.Contains(cart.body, "web-renamed") {
		t.Error("the removed item is still in the cart")
	}
}

func TestCancelSaysPerItemWhatHappensInMachinesAndMoney(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	at := "/orders/" + s.Orders["building"].String() + "/do/cancel"
	page := ana.get(at)
	mustContain(t, page, "It was delivered: it stays and keeps running.", "€56.60 stays paid.",
		"What was built of it is removed.", "€9,600.00 is refunded.", "It is being removed already.", "€9,950.00")

	version := hidden(t, page, "version")
	wantStatus(t, "cancel without a reason", ana.post(at, url.Values{
		"version": {version}, "reason": {"  "},
	}), http.StatusUnprocessableEntity)
	wantStatus(t, "cancel of a stale page", ana.post(at, url.Values{
		"version": {"1"}, "reason": {"changed my mind"},
	}), http.StatusConflict)
	wantStatus(t, "cancel", ana.post(at, url.Values{
		"version": {version}, "reason": {"changed my mind"},
	}), http.StatusSeeOther)
	mustContain(t, ana.get("/orders/"+s.Orders["building"].String()), "changed my mind", "The cancellation was accepted.")
}

func TestPassphraseIsShownOnceToItsCustomerAlone(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	at := "/orders/" + s.Orders["fulfilled"].String()
	olga, ana := signedIn(t, server, s.Olga), signedIn(t, server, s.Ana)
	if page := olga.get(at); strings.Contains(page.body, "Show passphrase") {
		t.Error("an operator is offered a customer's passphrase")
	}
	action := regexp.MustCompile(`/orders/[^"]*/passphrase`).FindString(ana.get(at).body)
	if got := olga.post(action, nil); got.status != http.StatusNotFound {
		t.Errorf("an operator asks for it: status %d, want 404", got.status)
	}
	if got := ana.get(action); got.status == http.StatusOK {
		t.Error("a passphrase is shown by GET")
	}
	first := ana.post(action, nil)
	mustContain(t, first, "plain walnut harbour")
	if first.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the page with the passphrase may be stored: %q", first.header.Get("Cache-Control"))
	}
	if second := ana.post(action, nil); second.status != http.StatusNotFound || strings.Contains(second.body, "walnut") {
		t.Errorf("a second time: status %d, want 404 and no passphrase", second.status)
	}
}

func TestOperatorConfirmsAPaymentAndAWrongAmountIsRefused(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	olga := signedIn(t, serve(t, s, nil), s.Olga)
	at := "/orders/" + s.Orders["pending"].String() + "/payment"
	page := olga.get(at)
	form := url.Values{
		"version": {hidden(t, page, "version")}, "reference": {"SI56-1"}, "amount": {"348.99"},
		"paid_at": {"2026-03-02T10:00"}, "method": {"bank_transfer"},
	}
	wrong := olga.post(at, form)
	if wrong.status != http.StatusUnprocessableEntity {
		t.Errorf("€1.01 short: status %d, want 422", wrong.status)
	}
	mustContain(t, wrong, "Up to one euro of difference is accepted.", `value="SI56-1"`)
	form.Set("amount", "349.00")
	if got := olga.post(at, form); got.status != http.StatusSeeOther {
		t.Fatalf("€1.00 short: status %d, want 303", got.status)
	}
	mustContain(t, olga.get("/orders/"+s.Orders["pending"].String()), "The payment is in.", "differs by −€1.00",
		"€0.00 unexplained")
}

func TestDeskMovesRefundsAndDeadLettersWithAReason(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	olga := signedIn(t, serve(t, s, nil), s.Olga)
	path := regexp.MustCompile(`/desk/dead-letters/[0-9a-f-]{36}`).FindString(olga.get("/desk/dead-letters").body)
	if got := olga.post(path, url.Values{"reason": {""}}); got.status != http.StatusUnprocessableEntity {
		t.Errorf("redrive without a reason: status %d, want 422", got.status)
	}
	if got := olga.post(path, url.Values{"reason": {"protection was lifted"}}); got.status != http.StatusSeeOther {
		t.Errorf("redrive: status %d, want 303", got.status)
	}
	mustContain(t, olga.get(path), "It is tried again.", "protection was lifted", "Redriven")
	if page := olga.get("/desk/dead-letters"); strings.Contains(page.body, path) {
		t.Error("a dead letter that was redriven is still listed as open")
	}
	mustContain(t, olga.get("/desk/dead-letters?state=all"), path)

	page := olga.get("/desk/refunds")
	refund := regexp.MustCompile(`/desk/refunds/[0-9a-f-]{36}`).FindString(page.body)
	wantStatus(t, "mark as done", olga.post(refund, url.Values{
		"order": {hidden(t, page, "order")}, "reason": {"sent by SEPA"},
	}), http.StatusSeeOther)
	mustContain(t, olga.get("/desk/refunds"), "No refund waits to be made by hand.")
}

func TestTheDeskShowsLagAndWhatARedriveVoids(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	olga := signedIn(t, server, s.Olga)
	mustContain(t, olga.get("/desk/routing"), "Caught up", "3 seconds, 12 events behind")
	const voids = "A redrive voids a first signature to abandon."
	mustContain(t, olga.get("/desk/dead-letters"), voids)
	if vera := signedIn(t, server, s.Vera).get("/desk/dead-letters"); strings.Contains(vera.body, voids) {
		t.Error("an auditor, who cannot redrive, reads what a redrive voids")
	}
}

func TestDeliveryKeyIsPutOnFileAndRemoved(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	wantStatus(t, "no key", ana.post("/account/key", url.Values{
		"key": {"nonsense"}, "do": {"put"},
	}), http.StatusUnprocessableEntity)
	wantStatus(t, "a key", ana.post("/account/key", url.Values{
		"key": {"-----BEGIN PGP PUBLIC KEY BLOCK-----"}, "do": {"put"},
	}), http.StatusSeeOther)
	mustContain(t, ana.get("/account"), "5D3E 9A1C 77F0", "Compare the fingerprint")
	ana.post("/account/key", url.Values{"do": {"remove"}})
	if page := ana.get("/account"); strings.Contains(page.body, "5D3E") {
		t.Error("the removed key is still shown")
	}
}

func TestAbandoningTakesTheSignaturesOfTwoPeople(t *testing.T) {
	t.Parallel()
	clock := newClock()
	s := portaltest.NewStory(clock.Now)
	server := serve(t, s, nil)
	olga, adam := signedIn(t, server, s.Olga), signedIn(t, server, s.Adam)
	at := "/desk/dead-letters/" + s.DeadLetters["protected"].String()
	mustContain(t, olga.get(at), "srv-7a41c0de", "protected against deletion", "the provider answered: protected",
		"The refund of €10.00 was accepted.", "The item becomes rolled back, and the order goes on without it.",
		"The first changes nothing.")

	form := url.Values{"grounds": {"removed_by_hand"}, "text": {"deleted at the console"}}
	wrong := olga.post(at+"/abandon", form)
	if wrong.status != http.StatusUnprocessableEntity {
		t.Errorf("without proof: status %d, want 422", wrong.status)
	}
	mustContain(t, wrong, "Say what proves it", "deleted at the console", `<option value="removed_by_hand" selected>`)
	form.Set("proof", "Ticket OPS-311")
	if got := olga.post(at+"/abandon", form); got.to != at {
		t.Errorf("the first signature: status %d to %q, want the dead letter", got.status, got.to)
	}
	mine := olga.get(at)
	mustContain(t, mine, "Signed first. Nothing has happened yet", "Ticket OPS-311", "Withdraw my signature",
		"One person has signed to abandon it")
	if strings.Contains(mine.body, "Sign second") {
		t.Error("the first signer is offered the second signature")
	}
	refused := olga.post(at+"/abandon", form)
	if refused.status != http.StatusConflict {
		t.Errorf("both signatures of one person: status %d, want 409", refused.status)
	}
	mustContain(t, refused, "Ask another operator to sign.")

	theirs := adam.get(at)
	mustContain(t, theirs, "Sign as the second person", "olga@acme.example",
		"it takes effect at once and cannot be undone")
	if abandonReason := hidden(t, theirs, "grounds"); abandonReason != "removed_by_hand" {
		t.Errorf("the second person signs %q, want the first person's reason", abandonReason)
	}
	if got := adam.post(at+"/withdraw", nil); got.status != http.StatusConflict {
		t.Errorf("withdrawing another's signature: status %d, want 409", got.status)
	}
	if got := adam.post(at+"/abandon", url.Values{"grounds": {"other"}}); got.status != http.StatusConflict {
		t.Errorf("another reason than the first: status %d, want 409", got.status)
	}
	clock.Advance(6 * time.Minute)
	got := adam.post(at+"/abandon", url.Values{"grounds": {"removed_by_hand"}})
	if !strings.HasPrefix(got.to, "/sign-in/again") {
		t.Errorf("a signature six minutes after the sign-in: status %d to %q, want to sign in again", got.status, got.to)
	}
	adam = signedIn(t, server, s.Adam)
	if got := adam.post(at+"/abandon", url.Values{"grounds": {"removed_by_hand"}}); got.to != at {
		t.Errorf("the second signature: status %d to %q, want the dead letter", got.status, got.to)
	}
	closed := adam.get(at)
	mustContain(t, closed, "Abandoned, signed by two people.", "Abandoned by two people", "olga@acme.example",
		"adam@acme.example")
	if strings.Contains(closed.body, "/abandon\"") || strings.Contains(closed.body, "Redrive</button>") {
		t.Error("an abandoned dead letter still offers a decision")
	}
}

func TestTheFirstSignerMayWithdrawAndAnAuditorOnlyReads(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	at := "/desk/dead-letters/" + s.DeadLetters["signed"].String()
	vera, adam, bor := signedIn(t, server, s.Vera), signedIn(t, server, s.Adam), signedIn(t, server, s.Bor)
	page := vera.get(at)
	mustContain(t, page, "Signed by one person", "adam@acme.example", "Ticket OPS-311")
	if strings.Contains(page.body, "<form method=\"post\" action=\"/desk") {
		t.Error("an auditor is offered a decision")
	}
	for _, what := range []string{"", "/adopt", "/abandon", "/withdraw"} {
		if got := vera.post(at+what, url.Values{"reason": {"x"}}); got.status != http.StatusForbidden {
			t.Errorf("an auditor posts to %q: status %d, want 403", what, got.status)
		}
		if got := bor.post(at+what, url.Values{"reason": {"x"}}); got.status != http.StatusForbidden {
			t.Errorf("a customer posts to %q: status %d, want 403", what, got.status)
		}
	}
	if got := adam.post(at+"/withdraw", nil); got.to != at {
		t.Errorf("withdraw: status %d to %q, want the dead letter", got.status, got.to)
	}
	mustContain(t, adam.get(at), "Your signature is withdrawn. The work is still stuck.", "Sign first")
}

func TestAFoundResourceIsAdoptedAndAGroupIsRedriven(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	olga := signedIn(t, serve(t, s, nil), s.Olga)
	at := "/desk/dead-letters/" + s.DeadLetters["unclear"].String()
	mustContain(t, olga.get(at), "nobody knows whether it exists", "Adopt")
	wrong := olga.post(at+"/adopt", url.Values{"step": {"volume"}, "ref": {"srv-9"}, "reason": {"seen"}})
	if wrong.status != http.StatusUnprocessableEntity {
		t.Errorf("a step without a resource: status %d, want 422", wrong.status)
	}
	mustContain(t, wrong, "This is no part of the item", `value="srv-9"`)

	list := olga.get("/desk/dead-letters")
	mustContain(t, list, "2 × Compensation exhausted", "Redrive 2")
	wantStatus(t, "an unknown class", olga.post("/desk/dead-letters", url.Values{
		"cause": {"compensation-exhausted"}, "class": {"nonsense"}, "reason": {"x"},
	}), http.StatusNotFound)
	if got := olga.post(at+"/adopt", url.Values{"step": {"server"}, "ref": {"srv-9"}, "reason": {"seen"}}); got.to != at {
		t.Errorf("adopt: status %d to %q, want the dead letter", got.status, got.to)
	}
	mustContain(t, olga.get(at), "A worker checks it now.", "Redriven")
	olga.post("/desk/dead-letters", url.Values{
		"cause": {"compensation-exhausted"}, "class": {"retryable"}, "reason": {"the provider is back"},
	})
	mustContain(t, olga.get("/desk/dead-letters"), "1 of 1 tried again.")
}

func TestTheListIsPagedAndSearchedByPrefix(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	for range 30 {
		if _, err := s.Fake.CreateOrder(t.Context(), app.Caller{Actor: s.Bor}, app.CreateOrder{}); err != nil {
			t.Fatal(err)
		}
	}
	server := serve(t, s, nil)
	bor := signedIn(t, server, s.Bor)
	rows := func(p answer) int { return strings.Count(p.body, `class="row"`) }
	first := bor.get("/orders")
	older := regexp.MustCompile(`/orders\?cursor=[^"]*`).FindString(first.body)
	got := []int{rows(first), rows(bor.get(older))}
	if diff := cmp.Diff([]int{25, 5}, got); diff != "" {
		t.Errorf("rows per page (-want +got):\n%s", diff)
	}
	ana := signedIn(t, server, s.Ana)
	if found := ana.get("/orders?q=web-10"); rows(found) != 1 {
		t.Errorf("search web-10 found %d, want 1", rows(found))
	}
	if found := ana.get("/orders?state=fulfilled"); rows(found) != 2 {
		t.Errorf("fulfilled: %d rows, want 2", rows(found))
	}
}

func TestAllowedActionsAreButtonsAndRefusedOnesSayWhy(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	server := serve(t, s, nil)
	ana, olga, vera := signedIn(t, server, s.Ana), signedIn(t, server, s.Olga), signedIn(t, server, s.Vera)
	at := func(name string) string { return "/orders/" + s.Orders[name].String() }
	buttonID := regexp.MustCompile(`id="(do-[a-z-]+|why-[a-z-]+)"`)
	buttons := func(p *person, name string) []string {
		ids := []string{}
		for _, m := range buttonID.FindAllStringSubmatch(p.get(at(name)).body, -1) {
			ids = append(ids, m[1])
		}
		return ids
	}
	for _, c := range []struct {
		who  *person
		name string
		want []string
	}{
		{ana, "draft", []string{"do-edit", "do-cancel"}},
		{ana, "pending", []string{"do-cancel"}},
		{olga, "pending", []string{"do-confirm-payment", "do-cancel"}},
		{olga, "paid", []string{"do-release", "do-revert-payment", "do-cancel"}},
		{olga, "building", []string{"why-hold", "why-revert-payment", "do-cancel"}},
		{ana, "fulfilled", []string{"why-cancel"}},
		{ana, "cancelled", []string{"do-restore"}},
		{ana, "failed", []string{}},
		{vera, "pending", []string{}},
	} {
		if diff := cmp.Diff(c.want, buttons(c.who, c.name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestRestoredOrderOpensAsTheCart(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	at := "/orders/" + s.Orders["cancelled"].String()
	page := ana.get(at + "/do/restore")
	got := ana.post(at+"/do/restore", url.Values{"version": {hidden(t, page, "version")}, "reason": {"needed after all"}})
	if got.to != at+"/cart" {
		t.Errorf("restore: status %d to %q, want the cart", got.status, got.to)
	}
	mustContain(t, ana.get(got.to), "The order is a draft again.", "web-9")
}

func TestRedeliveryBeyondItsLimitSaysWhen(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	page := ana.get("/orders/" + s.Orders["fulfilled"].String())
	action := regexp.MustCompile(`/orders/[^"]*/redeliver`).FindString(page.body)
	var statuses []int
	for range 4 {
		statuses = append(statuses, ana.post(action, nil).status)
	}
	if diff := cmp.Diff([]int{303, 303, 303, 429}, statuses); diff != "" {
		t.Errorf("four in a row (-want +got):\n%s", diff)
	}
	if got := ana.post(action, nil).header.Get("Retry-After"); got != "3600" {
		t.Errorf("Retry-After %q, want 3600", got)
	}
}

func TestForeignOrderAnswersLikeAnAbsentOne(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	bor := signedIn(t, serve(t, s, nil), s.Bor)
	absent := order.ID{1, 2, 3}.String()
	foreign := s.Orders["fulfilled"].String()
	for _, suffix := range []string{"", "/cart", "/stream", "/do/cancel"} {
		a, f := bor.get("/orders/"+absent+suffix), bor.get("/orders/"+foreign+suffix)
		if a.status != http.StatusNotFound || f.status != http.StatusNotFound {
			t.Errorf("%s: status %d and %d, want 404 twice", suffix, a.status, f.status)
		}
		if diff := cmp.Diff(a.body, f.body); diff != "" {
			t.Errorf("%s: absent and foreign differ:\n%s", suffix, diff)
		}
	}
	for _, suffix := range []string{"/cart", "/do/cancel"} {
		wantStatus(t, "POST "+suffix, bor.post("/orders/"+foreign+suffix, url.Values{
			"version": {"1"}, "reason": {"x"},
		}), http.StatusNotFound)
	}
}

func TestAdminSavesSettingsAndABrandThatCanBeRead(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(newClock().Now)
	adam := signedIn(t, serve(t, s, nil), s.Adam)
	page := adam.get("/settings")
	form := url.Values{
		"version": {hidden(t, page, "version")}, "name": {"Acme Cloud"}, "currency": {"EUR"},
		"time_zone": {"Europe/Vienna"}, "language": {"sl"}, "payment_method": {"manual"}, "safety_window": {"10"},
		"payment_due_days": {"14"}, "quote_valid_days": {"soon"},
		"brand_color": {"#ff8800"}, "brand_contrast": {"#ffffff"},
	}
	wrong := adam.post("/settings", form)
	if wrong.status != http.StatusUnprocessableEntity {
		t.Errorf("an unreadable brand: status %d, want 422", wrong.status)
	}
	mustContain(t, wrong, "The days a quote holds must be a whole number.", "contrast of 2.4 to 1",
		"The nearest brand colour that passes is #b56000.")
	form.Set("quote_valid_days", "30")
	form.Set("brand_color", "#b56000")
	if got := adam.post("/settings", form); got.status != http.StatusSeeOther {
		t.Fatalf("save: status %d, want 303", got.status)
	}
	mustContain(t, adam.get("/settings"), "Acme Cloud", "The settings were saved.", `value="10"`,
		`<option value="sl" selected>slovenščina</option>`)
	mustContain(t, adam.get("/brand.css"), "--brand: #b56000;")
}
