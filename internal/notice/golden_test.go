package notice_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	amounts "github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/notice"
)

var update = flag.Bool("update", false, "rewrite the golden mails")

var (
	paidAt   = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	accepted = time.Date(2026, 7, 14, 22, 15, 0, 0, time.UTC) // the next day in Ljubljana, in summer
)

// reader reads the brand of a tenant whose colour takes white text.
func reader(t testing.TB, l notice.Language) notice.Reader {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Ljubljana")
	if err != nil {
		t.Fatal(err)
	}
	return notice.Reader{
		Language: l, Zone: zone, Brand: notice.Brand{Name: "Oblak Žabnica", Color: "#0b5fff", Contrast: "#ffffff"},
	}
}

// news is one of each kind, and of each way that a kind can be told, by the name of its golden files.
func news() map[string]notice.Customer {
	payment := &notice.Payment{
		Cents: 123_450, Currency: "EUR", Reference: "RF18 5390 0754 7034", Transfer: true, At: paidAt,
	}
	asked := &notice.Refund{Cents: 6_500, Currency: "EUR", State: notice.RefundAsked}
	taken := &notice.Refund{Cents: 6_500, Currency: "EUR", State: notice.RefundAccepted, At: accepted}
	server := notice.Item{Line: 1, Label: "web-1", Title: "Virtual server", Region: "lj-1", Cents: 2_010}
	database := notice.Item{
		Line: 2, Label: "orders <b>&amp;</b> invoices", Title: "Managed database", Region: "mb-1", Annual: true, Cents: 6_500,
	}
	gpu := notice.Item{Line: 3, Title: "AI/ML GPU", Region: "lj-1", Cents: 114_940}
	with := func(it notice.Item, fate notice.Fate, why notice.Why, r *notice.Refund) notice.Item {
		it.Fate, it.Why, it.Refund = fate, why, r
		return it
	}
	of := func(kind notice.Kind, items ...notice.Item) notice.Customer {
		return notice.Customer{
			Kind: kind, Order: "ORD-7K3M9QXA", Link: "https://portal.example/orders/0195560d-f2c0-7000-8000-000000000001",
			At: paidAt, Currency: "EUR", Payment: payment, Items: items,
		}
	}
	simulated := of(notice.Started, server, database)
	simulated.Simulated, simulated.Payment = true, nil
	unpaid := of(notice.Cancelled, server)
	unpaid.Payment, unpaid.Why = nil, notice.WhyUnpaid
	thrown := of(notice.Cancelled, server, database)
	thrown.Payment, thrown.Link = nil, ""
	cancelling := of(notice.RefundBegun, with(server, notice.Dropped, notice.WhyCancelled, &notice.Refund{
		Cents: 2_010, Currency: "EUR", State: notice.RefundAsked,
	}), with(database, notice.Dropped, notice.WhyCancelled, asked))
	cancelling.Why = notice.WhyCancelled
	rejected := of(notice.Failed, with(server, notice.Dropped, notice.WhyRejected, &notice.Refund{
		Cents: 2_010, Currency: "EUR", State: notice.RefundDone, At: accepted,
	}), with(database, notice.Dropped, notice.WhyRejected, taken))
	rejected.Why, rejected.Rejected = notice.WhyRejected, []notice.Rejection{
		{Line: 1, Code: "image-not-available"}, {Code: "quota-exceeded"}, {Code: "quota-exceeded"},
	}
	card := *payment
	card.Transfer = false
	stuck := of(notice.RefundDelayed, with(database, notice.Dropped, notice.WhyTechnical, &notice.Refund{
		Cents: 6_500, Currency: "EUR", State: notice.RefundStuck,
	}))
	stuck.Payment = &card
	return map[string]notice.Customer{
		"paid":             of(notice.Paid, server, database, gpu),
		"started":          simulated,
		"refund":           of(notice.RefundBegun, with(database, notice.Dropped, notice.WhyCapacity, asked)),
		"refund-cancelled": cancelling,
		"refund-delayed":   stuck,
		"refund-moving":    of(notice.RefundMoving, with(database, notice.Dropped, notice.WhyTechnical, taken)),
		"fulfilled":        of(notice.Fulfilled, with(server, notice.Delivered, 0, nil), with(gpu, notice.Delivered, 0, nil)),
		"fulfilled-partly": of(notice.Fulfilled, with(server, notice.Delivered, 0, nil), with(database, notice.Dropped,
			notice.WhyTechnical, taken)),
		"cancelled": of(notice.Cancelled, with(server, notice.Dropped, notice.WhyCancelled, &notice.Refund{
			Cents: 2_010, Currency: "EUR", State: notice.RefundAccepted, At: accepted,
		}), with(database, notice.Dropped, notice.WhyCancelled, taken)),
		"cancelled-unpaid": unpaid,
		"cancelled-free":   thrown,
		"failed": of(notice.Failed, with(server, notice.Dropped, notice.WhyTogether, &notice.Refund{
			Cents: 2_010, Currency: "EUR", State: notice.RefundAccepted, At: accepted,
		}),
			with(database, notice.Dropped, notice.WhyTechnical, taken)),
		"failed-rejected": rejected,
	}
}

// causes is one of each cause.
func causes() map[string]notice.Operators {
	all := map[string]notice.Operators{}
	for i, c := range notice.Causes() {
		n := notice.Operators{
			Cause: c, Count: []int{99, 1, 2, 3, 1, 1}[i], Since: accepted, Orders: []string{"ORD-7K3M9QXA"},
			Link: "https://portal.example/desk",
		}
		if n.Count > 1 {
			n.Orders, n.More = append(n.Orders, "ORD-9B2C4DEF"), n.Count-2
		}
		all["operators-"+string(c)] = n
	}
	one := all["operators-webhook-failing"]
	one.Orders, one.Webhooks, one.Link = nil, []notice.Webhook{
		{ID: "0195560d-f2c0-7000-8000-0000000000e1", Host: "hooks.example.com", Since: accepted, Status: 503},
	}, "https://portal.example/settings/webhooks/0195560d-f2c0-7000-8000-0000000000e1"
	all["operators-webhook-failing"] = one
	many := one
	many.Count, many.More, many.Link = 8, 2, "https://portal.example/settings/webhooks"
	for i, why := range notice.NoAnswers() {
		many.Webhooks = append(many.Webhooks, notice.Webhook{
			ID: fmt.Sprintf("0195560d-f2c0-7000-8000-0000000000e%d", i+2), Host: fmt.Sprintf("shop-%d.example.com:8443", i+2),
			Since: accepted.Add(time.Duration(i) * time.Minute), Silent: why,
		})
	}
	all["operators-webhooks-failing"] = many
	return all
}

// mails renders all of them in a language.
func mails(t testing.TB, l notice.Language) map[string]notice.Mail {
	t.Helper()
	all := map[string]notice.Mail{}
	for name, n := range news() {
		m, err := notice.ForCustomer(reader(t, l), n)
		if err != nil {
			t.Fatalf("render %s in %s: %v", name, l, err)
		}
		all[name] = m
	}
	for name, n := range causes() {
		m, err := notice.ForOperators(reader(t, l), n)
		if err != nil {
			t.Fatalf("render %s in %s: %v", name, l, err)
		}
		all[name] = m
	}
	return all
}

func TestMailsReadAsWritten(t *testing.T) {
	t.Parallel()
	for _, l := range notice.Languages() {
		for name, m := range mails(t, l) {
			golden(t, name+"."+string(l)+".txt", "Subject: "+m.Subject+"\n\n"+m.Text)
			golden(t, name+"."+string(l)+".html", m.HTML)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-golden +rendered):\n%s", name, diff)
	}
}

func TestEveryMailIsInItsLanguageAndWhole(t *testing.T) {
	t.Parallel()
	english := mails(t, notice.English)
	for _, l := range notice.Languages() {
		for name, m := range mails(t, l) {
			if l != notice.English && (m.Subject == english[name].Subject || m.Text == english[name].Text) {
				t.Errorf("%s reads the same in %s and in English", name, l)
			}
			for what, s := range map[string]string{"subject": m.Subject, "text": m.Text, "html": m.HTML} {
				if strings.TrimSpace(s) == "" || strings.ContainsAny(s, "{}") || strings.Contains(s, "%!") ||
					strings.Contains(s, "<no value>") {
					t.Errorf("the %s of %s in %s has an open place:\n%s", what, name, l, s)
				}
			}
			if strings.ContainsAny(m.Subject, "\r\n") || len([]rune(m.Subject)) > 140 {
				t.Errorf("the subject of %s in %s is no line that fits: %q", name, l, m.Subject)
			}
			if strings.Contains(m.HTML, "<b>") || !strings.Contains(m.HTML, `lang="`+string(l)+`"`) {
				t.Errorf("%s in %s lets a label be markup, or does not name its language", name, l)
			}
			for _, loaded := range []string{"<img", "<script", "<link", "url(", "@import", "<style"} {
				if strings.Contains(m.HTML, loaded) {
					t.Errorf("%s in %s holds %s", name, l, loaded)
				}
			}
		}
	}
}

func money(l notice.Language, cents int64, currency string) string {
	return l.Money(amounts.Cents(cents), amounts.Currency(currency))
}
