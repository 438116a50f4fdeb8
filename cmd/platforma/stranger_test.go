package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

func itoa(n int) string { return strconv.Itoa(n) }

// own are a PostgreSQL database and a broker that somebody else runs.
type own struct {
	db     *pgtest.DB
	broker *embedded.Kafka
}

func newOwn(t *testing.T) own {
	t.Helper()
	k, err := embedded.StartKafka(embedded.KafkaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return own{pgtest.Empty(t), k}
}

// startDev starts `platforma dev` on these servers.
func (o own) startDev(t *testing.T, args ...string) *dev {
	t.Helper()
	d := launch(t, []string{"DATABASE_URL=" + o.db.OwnerURL(), "KAFKA_BROKERS=" + o.broker.Addr()}, folder(t),
		append([]string{"dev", "--no-demo"}, args...)...)
	d.awaitUp()
	return d
}

// curl is the real program, with a key.
type curl struct {
	t   *testing.T
	d   *dev
	key string
}

func (c curl) do(into any, path string, args ...string) {
	c.t.Helper()
	all := append([]string{
		"-sS", "--fail-with-body", "-H", "Authorization: Bearer " + c.key, "-H",
		"Content-Type: application/json", c.d.API + path,
	}, args...)
	out, err := exec.CommandContext(c.t.Context(), "curl", all...).Output()
	if err != nil {
		c.t.Fatalf("curl %s: %v\n%s", path, err, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		c.t.Fatalf("curl %s: %v: %s", path, err, out)
	}
}

// This is the whole promise, seen by strangers only: curl, gpg, kcat, psql, the cloud's own books,
// and a search of everything for what must not be there. It runs on a PostgreSQL and a broker that
// are not the binary's own.
func TestSixProductsGoFromDraftToEncryptedMailWithCurlAlone(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	servers := newOwn(t)
	d := servers.startDev(t, "--speed", "600")
	customer := curl{t, d, d.user(t, "customer").APIKey}
	operator := curl{t, d, d.user(t, "operator").APIKey}

	var o orderView
	customer.do(&o, "/v1/orders", "--data-binary", "@testdata/six.json")
	if o.State != "draft" || len(o.Items) != 6 {
		t.Fatalf("the draft: %+v", o)
	}
	customer.do(&o, "/v1/orders/"+o.ID+"/submit", "-d", fmt.Sprintf(`{"expected_total": %s}`, o.Totals.DueNow))
	operator.do(&o, "/v1/orders/"+o.ID+"/payment/confirm", "-d",
		fmt.Sprintf(`{"reference": "bank-1", "amount": %s, "method": "bank_transfer"}`, o.Totals.DueNow))
	begun := time.Now()
	until(t, 2*time.Minute, "the order to be at rest", func() bool {
		customer.do(&o, "/v1/orders/"+o.ID)
		return o.ended()
	})
	t.Logf("six products in %s", time.Since(begun))
	if o.State != "fulfilled" || o.Outcome != "full" || !slices.Equal(o.states(), []string{"delivered"}) {
		t.Errorf("the order is %s, outcome %s, items %v", o.State, o.Outcome, o.states())
	}
	d.wantExactly(o)

	letters, shown := d.deliveries(), d.signIn("customer").passphrases(o.ID)
	if len(letters) != 6 || len(shown) != 6 {
		t.Fatalf("%d mails and %d passphrases; want 6 of each", len(letters), len(shown))
	}
	t.Run("gpg opens six mails", func(t *testing.T) { wantSixMailsOpen(t, d, o, letters, shown) })
	keyed := orderView{}
	t.Run("gpg opens a mail to a key", func(t *testing.T) { keyed = wantMailToAKeyOpens(t, d) })
	t.Run("kcat reads the events", func(t *testing.T) { wantEvents(t, d, servers, o) })
	t.Run("each kind of work has its login", func(t *testing.T) { wantLogins(t, servers) })
	t.Run("psql of another tenant sees nothing", func(t *testing.T) { wantNothingForeign(t, d, servers) })
	d.wantExactly(o, keyed)
	orders := []string{o.ID}
	if keyed.ID != "" {
		orders = append(orders, keyed.ID)
	}
	wantSecretsNowhere(t, d, servers, orders, shown)
}

// wantSixMailsOpen opens each mail with one of the passphrases that the portal showed, each of which
// opens one mail: inside is the secret that the cloud issued for one item, and each item has its mail.
func wantSixMailsOpen(t *testing.T, d *dev, o orderView, letters []deadLetter, shown map[string]string) {
	t.Helper()
	needs(t, "gpg")
	g := newGPG(t)
	var want, got []string
	for _, secret := range d.issued(o) {
		want = append(want, secret)
	}
	left := maps.Clone(shown)
	for _, l := range letters {
		kind, parts := l.parts(t)
		if kind != "multipart/mixed" || len(parts) != 2 || !strings.HasPrefix(l.Subject, "Your service is ready: ") ||
			!strings.Contains(l.Subject, "("+o.Number+", item ") {
			t.Errorf("mail %d is %s of %d parts, %q", l.ID, kind, len(parts), l.Subject)
			continue
		}
		for id, phrase := range left {
			if text, err := g.run(t, parts[1], "--passphrase", phrase, "--decrypt"); err == nil {
				got = append(got, document(t, text))
				delete(left, id)
				break
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("%d passphrases open no mail", len(left))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-issued +opened):\n%s", diff)
	}
}

// wantMailToAKeyOpens puts a key on file, orders once more, and opens the mail with the private part.
func wantMailToAKeyOpens(t *testing.T, d *dev) orderView {
	t.Helper()
	needs(t, "gpg")
	g := newGPG(t)
	customer := d.as("customer")
	customer.t = t
	var answer struct {
		OnFile struct{ Fingerprint string } `json:"delivery_key"`
	}
	customer.must(http.MethodPut, "/v1/me/delivery-key",
		map[string]string{"public_key": g.key(t, d.user(t, "customer").Email)}, &answer)
	list := string(g.must(t, nil, "--with-colons", "--fingerprint"))
	if print := strings.ToUpper(answer.OnFile.Fingerprint); len(print) != 40 ||
		!strings.Contains(list, "\nfpr:::::::::"+print+":\n") {
		t.Errorf("the fingerprint on file is %q; gpg says\n%s", print, list)
	}
	before := len(d.deliveries())
	o := customer.follow(d.pays(customer, file(t, "one.json")).ID, time.Minute)
	letters := d.deliveries()[before:]
	if len(letters) != 1 {
		t.Fatalf("%d mails came after the key was put on file, want 1", len(letters))
	}
	kind, parts := letters[0].parts(t)
	if kind != "multipart/encrypted" || len(parts) != 2 ||
		!bytes.HasPrefix(parts[1], []byte("-----BEGIN PGP MESSAGE-----")) {
		t.Fatalf("the mail to a key is %s of %d parts", kind, len(parts))
	}
	if diff := cmp.Diff(d.issued(o)[o.Items[0].ID], document(t, g.must(t, parts[1], "--decrypt"))); diff != "" {
		t.Errorf("secret (-issued +opened):\n%s", diff)
	}
	return o
}

// wantEvents compares what kcat reads with what the API tells: each event once, in order.
func wantEvents(t *testing.T, d *dev, servers own, o orderView) {
	t.Helper()
	needs(t, "kcat")
	var told struct {
		Data []struct {
			ID, Type string
			Seq      int
			Data     json.RawMessage
		}
	}
	customer := d.as("customer")
	customer.must(http.MethodGet, "/v1/orders/"+o.ID+"/events?limit=100", nil, &told)
	var want, got []string
	for i, e := range told.Data {
		if e.Seq != i+1 {
			t.Errorf("event %d of the API has sequence %d", i+1, e.Seq)
		}
		want = append(want, fmt.Sprintf("%010d %s %s %s", i+1, e.ID, e.Type, o.ID))
	}
	confirmed := ""
	for _, r := range kcat(t, servers.broker.Addr(), o.ID) {
		got = append(got,
			r.Headers["ce_sequence"]+" "+r.Headers["ce_id"]+" "+r.Headers["ce_type"]+" "+r.Headers["ce_subject"])
		if r.Headers["ce_tenantid"] != d.Tenants[0].ID {
			t.Errorf("event %s is tenant %s's", r.Headers["ce_id"], r.Headers["ce_tenantid"])
		}
		switch r.Headers["ce_type"] {
		case "order.payment-confirmed":
			confirmed = r.Headers["ce_id"]
		case "order.validating", "order.provisioning-started":
			if confirmed == "" || r.Headers["ce_causationid"] != confirmed {
				t.Errorf("%s names %q as its cause, want the payment's event %q", r.Headers["ce_type"],
					r.Headers["ce_causationid"], confirmed)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 10 {
		t.Errorf("events (-API +kcat):\n%s", diff)
	}
}

// wantLogins asks PostgreSQL who is connected to the installation's database.
func wantLogins(t *testing.T, servers own) {
	t.Helper()
	rows, err := servers.db.Super(t).Query(t.Context(), `SELECT DISTINCT usename::text FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	want := []string{
		"platforma_api", "platforma_audit", "platforma_delivery", "platforma_portal", "platforma_relay", "platforma_worker",
	}
	if diff := cmp.Diff(want, got); diff != "" || rows.Err() != nil {
		t.Errorf("connected (-want +got), %v:\n%s", rows.Err(), diff)
	}
}

// tenantTables are all tables with a tenant_id and how many rows of a tenant each holds.
func tenantTables(t *testing.T, servers own, tenant string) map[string]int {
	t.Helper()
	conn := servers.db.Super(t)
	rows, err := conn.Query(t.Context(), `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		AND a.attname = 'tenant_id'
		WHERE c.relnamespace = 'platforma'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	all := map[string]int{}
	for _, name := range names {
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM platforma.`+name+` WHERE tenant_id = $1`,
			tenant).Scan(&n); err != nil {
			t.Fatalf("count %s: %v", name, err)
		}
		all[name] = n
	}
	return all
}

// wantNothingForeign reads every table with a tenant_id as platforma_api with the other tenant's
// setting: none of the first tenant's rows may show. With its own setting they do, so that the look is
// not a blind one.
func wantNothingForeign(t *testing.T, d *dev, servers own) {
	t.Helper()
	needs(t, "psql")
	first, other := d.Tenants[0].ID, d.Tenants[1].ID
	there := tenantTables(t, servers, first)
	seen := func(as string) map[string]int {
		var script strings.Builder
		for table := range there {
			fmt.Fprintf(&script,
				"BEGIN; SELECT set_config('app.tenant_id', '%s', true) \\g /dev/null\nSELECT '%s', count(*) FROM platforma.%s "+
					"WHERE tenant_id = '%s'; ROLLBACK;\n", as, table, table, first)
		}
		cmd := exec.CommandContext(t.Context(), "psql", "-X", "-q", "-A", "-t", "-F", " ", servers.db.URL("platforma_api"))
		cmd.Stdin = strings.NewReader(script.String())
		var refused bytes.Buffer
		cmd.Stderr = &refused
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("psql: %v\n%s", err, &refused)
		}
		counts := map[string]int{}
		for line := range strings.Lines(string(out)) {
			var table string
			var n int
			if _, err := fmt.Sscan(line, &table, &n); err != nil {
				t.Fatalf("psql printed %q", line)
			}
			counts[table] = n
		}
		denied := 0
		for line := range strings.Lines(refused.String()) {
			if strings.Contains(line, "permission denied for table") {
				denied++
			} else if strings.Contains(line, "ERROR") {
				t.Errorf("psql: %s", line)
			}
		}
		if len(counts)+denied != len(there) {
			t.Errorf("psql answered for %d tables and was denied %d of %d", len(counts), denied, len(there))
		}
		return counts
	}
	// the last consumers may still be hearing the order's events: a look counts when nothing came meanwhile
	var own map[string]int
	until(t, time.Minute, "the tables to be at rest", func() bool {
		there = tenantTables(t, servers, first)
		own = seen(first)
		return maps.Equal(there, tenantTables(t, servers, first))
	})
	visible := 0
	for table, n := range own {
		if n != there[table] {
			t.Errorf("%s: its own tenant sees %d rows of %d", table, n, there[table])
		}
		if n > 0 {
			visible++
		}
	}
	if visible < 8 {
		t.Errorf("the tenant itself sees rows in %d tables only: the look is blind", visible)
	}
	for table, n := range seen(other) {
		if n != 0 {
			t.Errorf("%s: another tenant sees %d rows", table, n)
		}
	}
}

// needle is something that must not be found, in the forms in which it might be hidden.
func needle(secret string) []string {
	forms := []string{secret, hex.EncodeToString([]byte(secret))}
	for shift := range 3 {
		padded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		from, to := (8*shift+5)/6, 8*(shift+len(secret))/6
		forms = append(forms, padded[from:to]) // the characters that follow from the secret alone
	}
	return forms
}

func TestTheSearchForSecretsFindsTheirDisguises(t *testing.T) {
	t.Parallel()
	secret := "CANARY-7Q"
	for _, hidden := range []string{
		`{"password":"CANARY-7Q"}`, `\x7b43414e4152592d375122`,
		base64.StdEncoding.EncodeToString([]byte("CANARY-7Q and on")),
		base64.StdEncoding.EncodeToString([]byte("a CANARY-7Q and on")),
		base64.URLEncoding.EncodeToString([]byte("is CANARY-7Q")) + "==",
	} {
		if !slices.ContainsFunc(needle(secret), func(n string) bool { return strings.Contains(hidden, n) }) {
			t.Errorf("not found in %s", hidden)
		}
	}
	for _, clean := range []string{"a canary", "CANARY", hex.EncodeToString([]byte("canary-7q"))} {
		if slices.ContainsFunc(needle(secret), func(n string) bool { return strings.Contains(clean, n) }) {
			t.Errorf("found in %s", clean)
		}
	}
}

// wantSecretsNowhere searches every table, the topic's bytes, mails, answers, pages and the log for
// what the cloud issued, and for the passphrases that the portal showed.
func wantSecretsNowhere(t *testing.T, d *dev, servers own, orders []string, shown map[string]string) {
	t.Helper()
	needles := needle(sim.Canary)
	for _, phrase := range shown {
		needles = append(needles, needle(phrase)...)
	}
	places := map[string]string{
		"the tables": tables(t, servers), "the API's answers": answers(t, d, orders),
		"the portal's pages": pages(t, d, orders),
	}
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Log("NOT SEARCHED: the topics, for kcat is not installed")
	} else {
		for _, topic := range []string{"order-events", "order-events.relay", "order-events.fulfilment.dlq"} {
			out, err := exec.CommandContext(t.Context(), "kcat", "-b", servers.broker.Addr(), "-C", "-t", topic, "-e", "-q",
				"-f", "%k %h %s\n").Output()
			if err != nil {
				t.Fatalf("kcat %s: %v", topic, err)
			}
			places["topic "+topic] = string(out)
		}
	}
	for _, l := range d.inbox() {
		places["mail "+itoa(l.ID)] = string(l.raw)
	}
	d.interrupt()
	if !d.ends(time.Minute) {
		t.Fatal("platforma does not end")
	}
	places["the log"] = d.said.String()
	for place, text := range places {
		for _, n := range needles {
			if i := strings.Index(text, n); i >= 0 {
				t.Errorf("%s: an issued secret or a passphrase stands at byte %d of %d", place, i, len(text))
			}
		}
	}
	for _, place := range []string{"the tables", "the API's answers", "the portal's pages"} {
		if !strings.Contains(places[place], orders[0]) {
			t.Errorf("%s do not even hold the order's id: the search is blind", place)
		}
	}
}

// tables are all rows of the product and of its job engine, as text.
func tables(t *testing.T, servers own) string {
	t.Helper()
	conn := servers.db.Super(t)
	var all string
	const q = `SELECT string_agg(query_to_xml(format('SELECT r::text FROM %I.%I AS r', schemaname, tablename), true, false,
		'')::text, '') FROM pg_tables WHERE schemaname IN ('platforma', 'river')`
	if err := conn.QueryRow(t.Context(), q).Scan(&all); err != nil {
		t.Fatalf("read all tables: %v", err)
	}
	return all
}

// answers are what every readable route of the API says, to each role.
func answers(t *testing.T, d *dev, orders []string) string {
	t.Helper()
	var heard strings.Builder
	for _, role := range []string{"customer", "operator", "admin", "auditor"} {
		who := d.as(role)
		paths := []string{
			"/v1/analytics/orders", "/v1/catalog", "/v1/dead-letters", "/v1/me", "/v1/me/delivery-key", "/v1/orders",
			"/v1/routing", "/v1/settings", "/v1/work-items", "/openapi.json",
		}
		for _, id := range orders {
			paths = append(paths, "/v1/orders/"+id, "/v1/orders/"+id+"/events?limit=100", "/v1/orders/"+id+"/saga")
		}
		for _, path := range paths {
			if status, _, err := who.try(http.MethodGet, path, nil); err != nil || status >= 500 {
				t.Errorf("GET %s as %s: %d, %v", path, role, status, err)
			}
		}
		heard.WriteString(who.heard.String())
	}
	return heard.String()
}

// pages are what the portal shows to a customer and to an operator.
func pages(t *testing.T, d *dev, orders []string) string {
	t.Helper()
	customer, operator := d.signIn("customer"), d.signIn("operator")
	for _, path := range []string{"/", "/catalog", "/cart", "/orders", "/account"} {
		customer.open(path)
	}
	for _, path := range []string{
		"/desk", "/desk/payments", "/desk/refunds", "/desk/dead-letters", "/desk/figures", "/desk/routing",
	} {
		operator.open(path)
	}
	for _, id := range orders {
		customer.open("/orders/" + id)
		operator.open("/orders/" + id)
		operator.open("/orders/" + id + "/saga")
	}
	return customer.heard.String() + operator.heard.String()
}
