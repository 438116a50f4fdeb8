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

// reader has the brand of a tenant on whose colour white text can be read.
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

// customerNotices returns every kind of notice in each of its variants, by the name of its golden files.
func customerNotices() map[string]notice.Customer {
	payment := &notice.Payment{
		Cents: 123_450, Currency: "EUR", Reference: "RF18 5390 0754 7034", Transfer: true, At: paidAt,
	}
	refund := func(cents amounts.Cents, state notice.RefundState, at time.Time) *notice.Refund {
		return &notice.Refund{Cents: cents, Currency: "EUR", State: state, At: at}
	}
	asked := refund(6_500, notice.RefundAsked, time.Time{})
	underWay := refund(6_500, notice.RefundAccepted, accepted)
	server := notice.Item{Line: 1, Label: "web-1", Title: "Virtual server", Region: "lj-1", Cents: 2_010}
	database := notice.Item{
		Line: 2, Label: "orders <b>&amp;</b> invoices", Title: "Managed database", Region: "mb-1", Annual: true, Cents: 6_500,
	}
	gpu := notice.Item{Line: 3, Title: "AI/ML GPU", Region: "lj-1", Cents: 114_940}
	delivered := func(it notice.Item) notice.Item {
		it.Fate = notice.Delivered
		return it
	}
	dropped := func(it notice.Item, why notice.Why, r *notice.Refund) notice.Item {
		it.Fate, it.Why, it.Refund = notice.Dropped, why, r
		return it
	}
	about := func(kind notice.Kind, items ...notice.Item) notice.Customer {
		return notice.Customer{
			Kind: kind, Order: "ORD-7K3M9QXA", Link: "https://portal.example/orders/0195560d-f2c0-7000-8000-000000000001",
			At: paidAt, Currency: "EUR", Payment: payment, Items: items,
		}
	}

	simulated := about(notice.Started, server, database)
	simulated.Simulated, simulated.Payment = true, nil
	unpaid := about(notice.Cancelled, server)
	unpaid.Payment, unpaid.Why = nil, notice.WhyUnpaid
	free := about(notice.Cancelled, server, database)
	free.Payment, free.Link = nil, ""
	cancelling := about(notice.RefundBegun,
		dropped(server, notice.WhyCancelled, refund(2_010, notice.RefundAsked, time.Time{})),
		dropped(database, notice.WhyCancelled, asked))
	cancelling.Why = notice.WhyCancelled
	rejected := about(notice.Failed,
		dropped(server, notice.WhyRejected, refund(2_010, notice.RefundDone, accepted)),
		dropped(database, notice.WhyRejected, underWay))
	rejected.Why, rejected.Rejected = notice.WhyRejected, []notice.Rejection{
		{Line: 1, Code: "image-not-available"}, {Code: "quota-exceeded"}, {Code: "quota-exceeded"},
	}
	card := *payment
	card.Transfer = false
	stuck := about(notice.RefundDelayed,
		dropped(database, notice.WhyTechnical, refund(6_500, notice.RefundStuck, time.Time{})))
	stuck.Payment = &card

	return map[string]notice.Customer{
		"paid":             about(notice.Paid, server, database, gpu),
		"started":          simulated,
		"refund":           about(notice.RefundBegun, dropped(database, notice.WhyCapacity, asked)),
		"refund-cancelled": cancelling,
		"refund-delayed":   stuck,
		"refund-moving":    about(notice.RefundMoving, dropped(database, notice.WhyTechnical, underWay)),
		"fulfilled":        about(notice.Fulfilled, delivered(server), delivered(gpu)),
		"fulfilled-partly": about(notice.Fulfilled,
			delivered(server), dropped(database, notice.WhyTechnical, underWay)),
		"cancelled": about(notice.Cancelled,
			dropped(server, notice.WhyCancelled, refund(2_010, notice.RefundAccepted, accepted)),
			dropped(database, notice.WhyCancelled, underWay)),
		"cancelled-unpaid": unpaid,
		"cancelled-free":   free,
		"failed": about(notice.Failed,
			dropped(server, notice.WhyTogether, refund(2_010, notice.RefundAccepted, accepted)),
			dropped(database, notice.WhyTechnical, underWay)),
		"failed-rejected": rejected,
	}
}

// operatorNotices returns a notice of each cause, and one about several webhooks.
func operatorNotices() map[string]notice.Operators {
	notices := map[string]notice.Operators{}
	for i, c := range notice.Causes() {
		n := notice.Operators{
			Cause: c, Count: []int{99, 1, 2, 3, 1, 1}[i], Since: accepted, Orders: []string{"ORD-7K3M9QXA"},
			Link: "https://portal.example/desk",
		}
		if n.Count > 1 {
			n.Orders, n.More = append(n.Orders, "ORD-9B2C4DEF"), n.Count-2
		}
		notices["operators-"+string(c)] = n
	}
	one := notices["operators-webhook-failing"]
	one.Orders = nil
	one.Webhooks = []notice.Webhook{
		{ID: "0195560d-f2c0-7000-8000-0000000000e1", Host: "hooks.example.com", Since: accepted, Status: 503},
	}
	one.Link = "https://portal.example/settings/webhooks/0195560d-f2c0-7000-8000-0000000000e1"
	notices["operators-webhook-failing"] = one

	several := one
	several.Count, several.More, several.Link = 8, 2, "https://portal.example/settings/webhooks"
	for i, why := range notice.NoAnswers() {
		several.Webhooks = append(several.Webhooks, notice.Webhook{
			ID: fmt.Sprintf("0195560d-f2c0-7000-8000-0000000000e%d", i+2), Host: fmt.Sprintf("shop-%d.example.com:8443", i+2),
			Since: accepted.Add(time.Duration(i) * time.Minute), NoAnswer: why,
		})
	}
	notices["operators-webhooks-failing"] = several
	return notices
}

// mails renders every notice in a language.
func mails(t testing.TB, l notice.Language) map[string]notice.Mail {
	t.Helper()
	rendered := map[string]notice.Mail{}
	for name, n := range customerNotices() {
		m, err := notice.ForCustomer(reader(t, l), n)
		if err != nil {
			t.Fatalf("render %s in %s: %v", name, l, err)
		}
		rendered[name] = m
	}
	for name, n := range operatorNotices() {
		m, err := notice.ForOperators(reader(t, l), n)
		if err != nil {
			t.Fatalf("render %s in %s: %v", name, l, err)
		}
		rendered[name] = m
	}
	return rendered
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

func TestEveryMailIsCompleteAndInItsLanguage(t *testing.T) {
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
					t.Errorf("the %s of %s in %s has a placeholder that was not filled:\n%s", what, name, l, s)
				}
			}
			if strings.ContainsAny(m.Subject, "\r\n") || len([]rune(m.Subject)) > 140 {
				t.Errorf("the subject of %s in %s is not one line that fits: %q", name, l, m.Subject)
			}
			if strings.Contains(m.HTML, "<b>") || !strings.Contains(m.HTML, `lang="`+string(l)+`"`) {
				t.Errorf("%s in %s renders a label as markup, or does not name its language", name, l)
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
