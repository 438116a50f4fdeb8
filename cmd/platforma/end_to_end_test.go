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

// externalServers are a PostgreSQL database and a broker that the binary did not start.
type externalServers struct {
	db     *pgtest.DB
	broker *embedded.Kafka
}

func startExternalServers(t *testing.T) externalServers {
	t.Helper()
	k, err := embedded.StartKafka(embedded.KafkaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return externalServers{pgtest.Empty(t), k}
}

// startDev starts `platforma dev` on these servers.
func (s externalServers) startDev(t *testing.T, args ...string) *dev {
	t.Helper()
	env := []string{"DATABASE_URL=" + s.db.OwnerURL(), "KAFKA_BROKERS=" + s.broker.Addr()}
	d := launch(t, env, dataFolder(t), append([]string{"dev", "--no-demo"}, args...)...)
	d.waitUp()
	return d
}

// curl calls the API with the program curl and a key.
type curl struct {
	t   *testing.T
	d   *dev
	key string
}

func (c curl) do(into any, path string, args ...string) {
	c.t.Helper()
	args = append([]string{
		"-sS", "--fail-with-body", "-H", "Authorization: Bearer " + c.key, "-H", "Content-Type: application/json",
		c.d.API + path,
	}, args...)
	out, err := exec.CommandContext(c.t.Context(), "curl", args...).Output()
	if err != nil {
		c.t.Fatalf("curl %s: %v\n%s", path, err, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		c.t.Fatalf("curl %s: %v: %s", path, err, out)
	}
}

// The test checks everything from outside, with programs that share no code with the product: curl, gpg, kcat,
// psql and the cloud's own ledger. In the end it searches everything for secrets. It runs on a PostgreSQL and a
// broker that the binary did not start.
func TestSixProductsGoFromDraftToEncryptedMailWithCurlAlone(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "curl")
	servers := startExternalServers(t)
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
	start := time.Now()
	waitUntil(t, 2*time.Minute, "the order to be at rest", func() bool {
		customer.do(&o, "/v1/orders/"+o.ID)
		return o.atRest()
	})
	t.Logf("six products in %s", time.Since(start))
	if o.State != "fulfilled" || o.Outcome != "full" || !slices.Equal(o.itemStates(), []string{"delivered"}) {
		t.Errorf("the order is %s, outcome %s, items %v", o.State, o.Outcome, o.itemStates())
	}
	d.wantResources(o)

	mails, passphrases := d.deliveries(), d.signIn("customer").takePassphrases(o.ID)
	if len(mails) != 6 || len(passphrases) != 6 {
		t.Fatalf("%d mails and %d passphrases; want 6 of each", len(mails), len(passphrases))
	}
	t.Run("gpg opens six mails", func(t *testing.T) { wantSixMailsOpen(t, d, o, mails, passphrases) })
	keyOrder := orderView{}
	t.Run("gpg opens a mail to a key", func(t *testing.T) { keyOrder = wantMailToAKeyOpens(t, d) })
	t.Run("kcat reads the events", func(t *testing.T) { wantEvents(t, d, servers, o) })
	t.Run("each kind of work has its login", func(t *testing.T) { wantLogins(t, servers) })
	t.Run("psql of another tenant sees nothing", func(t *testing.T) { wantTenantWalls(t, d, servers) })
	d.wantResources(o, keyOrder)
	orders := []string{o.ID}
	if keyOrder.ID != "" {
		orders = append(orders, keyOrder.ID)
	}
	wantSecretsNowhere(t, d, servers, orders, passphrases)
}

// wantSixMailsOpen requires that each passphrase from the portal opens one mail, and that the mails contain the
// secrets that the cloud issued for the items.
func wantSixMailsOpen(t *testing.T, d *dev, o orderView, mails []receivedMail, passphrases map[string]string) {
	t.Helper()
	requirePrograms(t, "gpg")
	g := newGPG(t)
	var want, got []string
	for _, secret := range d.issuedSecrets(o) {
		want = append(want, secret)
	}
	unused := maps.Clone(passphrases)
	for _, m := range mails {
		kind, parts := m.parts(t)
		if kind != "multipart/mixed" || len(parts) != 2 || !strings.HasPrefix(m.Subject, "Your service is ready: ") ||
			!strings.Contains(m.Subject, "("+o.Number+", item ") {
			t.Errorf("mail %d is %s of %d parts, %q", m.ID, kind, len(parts), m.Subject)
			continue
		}
		for id, phrase := range unused {
			if text, err := g.run(t, parts[1], "--passphrase", phrase, "--decrypt"); err == nil {
				got = append(got, documentOf(t, text))
				delete(unused, id)
				break
			}
		}
	}
	if len(unused) > 0 {
		t.Errorf("%d passphrases open no mail", len(unused))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-issued +opened):\n%s", diff)
	}
}

// wantMailToAKeyOpens stores a public key, places another order, and requires that the private key opens its mail.
func wantMailToAKeyOpens(t *testing.T, d *dev) orderView {
	t.Helper()
	requirePrograms(t, "gpg")
	g := newGPG(t)
	customer := d.as("customer")
	customer.t = t
	var answer struct {
		DeliveryKey struct{ Fingerprint string } `json:"delivery_key"`
	}
	customer.call(http.MethodPut, "/v1/me/delivery-key",
		map[string]string{"public_key": g.newKey(t, d.user(t, "customer").Email)}, &answer)
	list := string(g.mustRun(t, nil, "--with-colons", "--fingerprint"))
	fingerprint := strings.ToUpper(answer.DeliveryKey.Fingerprint)
	if len(fingerprint) != 40 || !strings.Contains(list, "\nfpr:::::::::"+fingerprint+":\n") {
		t.Errorf("the stored key has the fingerprint %q; gpg says\n%s", fingerprint, list)
	}
	before := len(d.deliveries())
	o := customer.waitAtRest(d.placePaidOrder(customer, readTestdata(t, "one.json")).ID, time.Minute)
	mails := d.deliveries()[before:]
	if len(mails) != 1 {
		t.Fatalf("%d mails came after the key was stored, want 1", len(mails))
	}
	kind, parts := mails[0].parts(t)
	if kind != "multipart/encrypted" || len(parts) != 2 ||
		!bytes.HasPrefix(parts[1], []byte("-----BEGIN PGP MESSAGE-----")) {
		t.Fatalf("the mail to a key is %s of %d parts", kind, len(parts))
	}
	opened := documentOf(t, g.mustRun(t, parts[1], "--decrypt"))
	if diff := cmp.Diff(d.issuedSecrets(o)[o.Items[0].ID], opened); diff != "" {
		t.Errorf("secret (-issued +opened):\n%s", diff)
	}
	return o
}

// wantEvents requires that kcat reads the events that the API shows, each once and in order.
func wantEvents(t *testing.T, d *dev, servers externalServers, o orderView) {
	t.Helper()
	requirePrograms(t, "kcat")
	var page struct {
		Data []struct {
			ID, Type string
			Seq      int
			Data     json.RawMessage
		}
	}
	customer := d.as("customer")
	customer.call(http.MethodGet, "/v1/orders/"+o.ID+"/events?limit=100", nil, &page)
	var want, got []string
	for i, e := range page.Data {
		if e.Seq != i+1 {
			t.Errorf("event %d of the API has sequence %d", i+1, e.Seq)
		}
		want = append(want, fmt.Sprintf("%010d %s %s %s", i+1, e.ID, e.Type, o.ID))
	}
	confirmed := ""
	for _, r := range readTopic(t, servers.broker.Addr(), o.ID) {
		got = append(got,
			r.Headers["ce_sequence"]+" "+r.Headers["ce_id"]+" "+r.Headers["ce_type"]+" "+r.Headers["ce_subject"])
		if r.Headers["ce_tenantid"] != d.Tenants[0].ID {
			t.Errorf("event %s has the tenant %s", r.Headers["ce_id"], r.Headers["ce_tenantid"])
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

// wantLogins requires that exactly the product's logins are connected to the installation's database.
func wantLogins(t *testing.T, servers externalServers) {
	t.Helper()
	rows, err := servers.db.Super(t).Query(t.Context(), `
		SELECT DISTINCT usename::text
		FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
		ORDER BY 1`)
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
		"platforma_api", "platforma_audit", "platforma_delivery",
		"platforma_portal", "platforma_relay", "platforma_worker",
	}
	if diff := cmp.Diff(want, got); diff != "" || rows.Err() != nil {
		t.Errorf("connected (-want +got), %v:\n%s", rows.Err(), diff)
	}
}

// countTenantRows returns how many rows of a tenant each table with a tenant_id has.
func countTenantRows(t *testing.T, servers externalServers, tenant string) map[string]int {
	t.Helper()
	conn := servers.db.Super(t)
	rows, err := conn.Query(t.Context(), `
		SELECT c.relname::text
		FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
		WHERE c.relnamespace = 'platforma'::regnamespace AND c.relkind IN ('r', 'p')
		ORDER BY 1`)
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
	counts := map[string]int{}
	for _, name := range names {
		var n int
		count := `SELECT count(*) FROM platforma.` + name + ` WHERE tenant_id = $1`
		if err := conn.QueryRow(t.Context(), count, tenant).Scan(&n); err != nil {
			t.Fatalf("count %s: %v", name, err)
		}
		counts[name] = n
	}
	return counts
}

// wantTenantWalls reads every table with a tenant_id through the login platforma_api. In transactions of the other
// tenant it must not see any row of the first tenant. In those of the first tenant it must see them, which proves
// that the check can find rows at all.
func wantTenantWalls(t *testing.T, d *dev, servers externalServers) {
	t.Helper()
	requirePrograms(t, "psql")
	first, other := d.Tenants[0].ID, d.Tenants[1].ID
	rows := countTenantRows(t, servers, first)
	visibleTo := func(tenant string) map[string]int {
		var script strings.Builder
		for table := range rows {
			fmt.Fprintf(&script, `BEGIN;
SELECT set_config('app.tenant_id', '%s', true) \g /dev/null
SELECT '%s', count(*) FROM platforma.%s WHERE tenant_id = '%s';
ROLLBACK;
`, tenant, table, table, first)
		}
		cmd := exec.CommandContext(t.Context(), "psql", "-X", "-q", "-A", "-t", "-F", " ", servers.db.URL("platforma_api"))
		cmd.Stdin = strings.NewReader(script.String())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("psql: %v\n%s", err, &stderr)
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
		for line := range strings.Lines(stderr.String()) {
			if strings.Contains(line, "permission denied for table") {
				denied++
			} else if strings.Contains(line, "ERROR") {
				t.Errorf("psql: %s", line)
			}
		}
		if len(counts)+denied != len(rows) {
			t.Errorf("psql answered for %d tables and was denied %d of %d", len(counts), denied, len(rows))
		}
		return counts
	}
	// Consumers may still write rows. A reading counts only when no row was added meanwhile.
	var visibleToFirst map[string]int
	waitUntil(t, time.Minute, "the tables to be at rest", func() bool {
		rows = countTenantRows(t, servers, first)
		visibleToFirst = visibleTo(first)
		return maps.Equal(rows, countTenantRows(t, servers, first))
	})
	filled := 0
	for table, n := range visibleToFirst {
		if n != rows[table] {
			t.Errorf("%s: its own tenant sees %d rows of %d", table, n, rows[table])
		}
		if n > 0 {
			filled++
		}
	}
	if filled < 8 {
		t.Errorf("the tenant itself sees rows in only %d tables: the check finds too little", filled)
	}
	for table, n := range visibleTo(other) {
		if n != 0 {
			t.Errorf("%s: another tenant sees %d rows", table, n)
		}
	}
}

// encodingsOf returns a secret with the encodings in which it might be hidden: hexadecimal and base64.
func encodingsOf(secret string) []string {
	forms := []string{secret, hex.EncodeToString([]byte(secret))}
	for shift := range 3 {
		padded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		from, to := (8*shift+5)/6, 8*(shift+len(secret))/6
		forms = append(forms, padded[from:to]) // the characters that depend only on the secret
	}
	return forms
}

func TestTheSearchForSecretsFindsTheirEncodings(t *testing.T) {
	t.Parallel()
	secret := "CANARY-7Q"
	for _, hidden := range []string{
		`{"password":"CANARY-7Q"}`, `\x7b43414e4152592d375122`,
		base64.StdEncoding.EncodeToString([]byte("CANARY-7Q and on")),
		base64.StdEncoding.EncodeToString([]byte("a CANARY-7Q and on")),
		base64.URLEncoding.EncodeToString([]byte("is CANARY-7Q")) + "==",
	} {
		if !slices.ContainsFunc(encodingsOf(secret), func(n string) bool { return strings.Contains(hidden, n) }) {
			t.Errorf("not found in %s", hidden)
		}
	}
	for _, clean := range []string{"a canary", "CANARY", hex.EncodeToString([]byte("canary-7q"))} {
		if slices.ContainsFunc(encodingsOf(secret), func(n string) bool { return strings.Contains(clean, n) }) {
			t.Errorf("found in %s", clean)
		}
	}
}

// wantSecretsNowhere searches every table, the topics, mails, answers, pages and the log for the secrets that the
// cloud issued and for the passphrases that the portal showed.
func wantSecretsNowhere(
	t *testing.T, d *dev, servers externalServers, orders []string, passphrases map[string]string,
) {
	t.Helper()
	forms := encodingsOf(sim.Canary)
	for _, phrase := range passphrases {
		forms = append(forms, encodingsOf(phrase)...)
	}
	texts := map[string]string{
		"the tables":         dumpTables(t, servers),
		"the API's answers":  apiAnswers(t, d, orders),
		"the portal's pages": portalPages(t, d, orders),
	}
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Log("NOT SEARCHED: the topics, because kcat is not installed")
	} else {
		for _, topic := range []string{"order-events", "order-events.relay", "order-events.fulfilment.dlq"} {
			out, err := exec.CommandContext(t.Context(), "kcat", "-b", servers.broker.Addr(), "-C", "-t", topic, "-e", "-q",
				"-f", "%k %h %s\n").Output()
			if err != nil {
				t.Fatalf("kcat %s: %v", topic, err)
			}
			texts["topic "+topic] = string(out)
		}
	}
	for _, m := range d.inbox() {
		texts["mail "+itoa(m.ID)] = string(m.raw)
	}
	d.interrupt()
	if !d.endsWithin(time.Minute) {
		t.Fatal("platforma does not end")
	}
	texts["the log"] = d.output.String()
	for source, text := range texts {
		for _, form := range forms {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s: an issued secret or a passphrase is at byte %d of %d", source, i, len(text))
			}
		}
	}
	for _, source := range []string{"the tables", "the API's answers", "the portal's pages"} {
		if !strings.Contains(texts[source], orders[0]) {
			t.Errorf("%s do not contain the order's id: the search would find nothing there", source)
		}
	}
}

// dumpTables returns all rows of the product and of its job engine as text.
func dumpTables(t *testing.T, servers externalServers) string {
	t.Helper()
	var rows string
	err := servers.db.Super(t).QueryRow(t.Context(), `
		SELECT string_agg(
			query_to_xml(format('SELECT r::text FROM %I.%I AS r', schemaname, tablename), true, false, '')::text, '')
		FROM pg_tables
		WHERE schemaname IN ('platforma', 'river')`).Scan(&rows)
	if err != nil {
		t.Fatalf("read all tables: %v", err)
	}
	return rows
}

// apiAnswers returns the answers of every readable route of the API to each role.
func apiAnswers(t *testing.T, d *dev, orders []string) string {
	t.Helper()
	var answers strings.Builder
	for _, role := range []string{"customer", "operator", "admin", "auditor"} {
		client := d.as(role)
		paths := []string{
			"/v1/analytics/orders", "/v1/catalog", "/v1/dead-letters", "/v1/me", "/v1/me/delivery-key", "/v1/orders",
			"/v1/routing", "/v1/settings", "/v1/work-items", "/openapi.json",
		}
		for _, id := range orders {
			paths = append(paths, "/v1/orders/"+id, "/v1/orders/"+id+"/events?limit=100", "/v1/orders/"+id+"/saga")
		}
		for _, path := range paths {
			if status, _, err := client.send(http.MethodGet, path, nil); err != nil || status >= 500 {
				t.Errorf("GET %s as %s: %d, %v", path, role, status, err)
			}
		}
		answers.WriteString(client.answers.String())
	}
	return answers.String()
}

// portalPages returns the pages that the portal shows to a customer and to an operator.
func portalPages(t *testing.T, d *dev, orders []string) string {
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
	return customer.pages.String() + operator.pages.String()
}
