package portal

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/brand"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestAmountsAreWrittenForAReader(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"€1,234.50": amount(1_234_50, "EUR"), "€0.05": amount(5, "EUR"), "−€5.00": amount(-5_00, "EUR"),
		"CHF\u00a020.10": amount(20_10, "CHF"), "¥2,010": amount(2010, "JPY"), "€10,000,000.00": amount(10_000_000_00, "EUR"),
		"KWD\u00a01.500": amount(1500, "KWD"),
	}
	for text, got := range want {
		if got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

func TestTimesAreSaidCoarsely(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 119 * time.Minute: "1 hour ago",
		47 * time.Hour: "47 hours ago", 72 * time.Hour: "3 days ago", -90 * time.Second: "in 1 minute",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func TestLinksOfEveryBrandCanBeReadOnBothSurfaces(t *testing.T) {
	t.Parallel()
	for _, c := range []brand.Colour{
		{R: 0xff, G: 0xff}, {B: 0x80}, {R: 0x80, G: 0x80, B: 0x80}, brand.Black(), brand.White(),
	} {
		for _, on := range []brand.Colour{lightSurface, darkSurface} {
			if got := brand.NearestReadable(c, on); !brand.Readable(got, on) {
				t.Errorf("%s made readable on %s is %s, with a contrast of %v", c, on, got, brand.Contrast(got, on))
			}
		}
	}
}

func TestBrandThatCannotBeReadIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"", ""},
		{"#777777", "#ffffff"},
		{"#7a1fa2", "#7a1fa2"},
		{"red", "#ffffff"},
		{"#7a1fa2;}", "#ffffff"},
		{"#7a1fag", "#ffffff"},
		{"#+1234f", "#ffffff"},
	} {
		if got := brandCSS(pair[0], pair[1]); strings.Contains(got, "--brand") {
			t.Errorf("%q on %q was taken: %s", pair[1], pair[0], got)
		}
	}
	want := "@layer tenant {\n  :root { --brand: #7a1fa2; --brand-contrast: #ffffff; --link: #7a1fa2; }\n  @media " +
		"(prefers-color-scheme: dark) { :root { --link: #"
	if got := brandCSS("#7a1fa2", "#ffffff"); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want it to begin with %s", got, want)
	}
}

func TestFilesOfOthersAreThoseOfTheirVersions(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^\S+ +[0-9.]+ +\S+ +(\S+) +(\S+) +([0-9a-f]{64})$`)
	found := 0
	lines := bufio.NewScanner(strings.NewReader(string(mustRead("VERSIONS.txt"))))
	for lines.Scan() {
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		found++
		sum := sha256.Sum256(mustRead(m[2]))
		if got := hex.EncodeToString(sum[:]); got != m[3] {
			t.Errorf("%s has sum %s, want %s", m[2], got, m[3])
		}
		if len(mustRead(m[1])) == 0 {
			t.Errorf("%s has no licence text", m[2])
		}
	}
	if found != 3 {
		t.Errorf("%d files are listed, want 3", found)
	}
}

// The policy allows no data: addresses, and Pico's icons are such: each must have one of ours.
func TestEveryIconOfPicoIsReplaced(t *testing.T) {
	t.Parallel()
	ours := string(mustRead("portal.css"))
	icons := regexp.MustCompile(`(--pico-icon-[a-z]+):url\("data:`).FindAllSubmatch(mustRead("pico.min.css"), -1)
	if len(icons) == 0 {
		t.Fatal("Pico has no icons that are data: addresses; then this test and our icons can go")
	}
	for _, m := range icons {
		if !strings.Contains(ours, string(m[1])+":") {
			t.Errorf("%s is not replaced", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`/static/([a-z.]+)`).FindAllStringSubmatch(ours, -1) {
		if _, ok := loadAssets().files[m[1]]; !ok {
			t.Errorf("%s is named by the style sheet and not served", m[1])
		}
	}
}

func TestFormOfEveryProductSendsItsDefaultBack(t *testing.T) {
	t.Parallel()
	cat, err := catalog.Load(catalog.Default(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, product := range cat.Products() {
		fields, err := parseFields(product.Schema)
		if err != nil {
			t.Fatalf("%s: %v", product.ID, err)
		}
		sent, err := configurationOf(entered(fields, formOf(filled(fields, product.Default.Configuration))))
		if err != nil {
			t.Fatalf("%s: %v", product.ID, err)
		}
		if diff := cmp.Diff(decoded(t, product.Default.Configuration), decoded(t, sent)); diff != "" {
			t.Errorf("%s (-default +sent):\n%s", product.ID, diff)
		}
	}
}

// formOf is what a browser would send of the fields as they are drawn.
func formOf(fields []field) url.Values {
	form := url.Values{}
	for _, f := range fields {
		switch {
		case len(f.Fields) > 0:
			for name, v := range formOf(f.Fields) {
				form[name] = v
			}
		case f.Type == "boolean" && !f.On:
		case f.Type == "boolean":
			form.Set(f.Name(), "on")
		default:
			form.Set(f.Name(), f.Value)
		}
	}
	return form
}

func decoded(t *testing.T, raw json.RawMessage) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPathShowsWhatWasPassedBy(t *testing.T) {
	t.Parallel()
	been := func(states ...string) []record {
		var events []record
		for _, s := range states {
			r := record{}
			r.Payload.To = s
			events = append(events, r)
		}
		return events
	}
	is := func(o *order.Order, events []record) string {
		path, exits := pathOf(o, events)
		var all []string
		for _, s := range append(path, exits...) {
			all = append(all, s.Is)
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		name   string
		state  order.State
		events []record
		want   string
	}{
		{"one item", order.Fulfilled, been("draft", "pending_payment", "payment_confirmed", "validating", "provisioning",
			"fulfilled"), "done done done done done skipped here ahead ahead"},
		{"draft", order.Draft, been("draft"), "here ahead ahead ahead ahead ahead ahead ahead ahead"},
		{
			"cancelled unpaid", order.Cancelled, been("draft", "pending_payment", "cancelled"),
			"done done ahead ahead ahead ahead ahead here ahead",
		},
		{
			"restored", order.Draft, been("draft", "pending_payment", "cancelled", "draft"),
			"here ahead ahead ahead ahead ahead ahead ahead ahead",
		},
	} {
		if got := is(&order.Order{State: c.state}, c.events); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestMoneyCountsARevertedPaymentOnNeitherSide(t *testing.T) {
	t.Parallel()
	a, b := order.ItemID{1}, order.ItemID{2}
	o := &order.Order{
		Currency: "EUR", Due: 30_00, Items: []order.Item{
			{ID: a, Label: "a", Price: 10_00},
			{ID: b, Label: "b", Price: 20_00},
		},
		Payments: []order.Payment{
			{
				State: order.PaymentReverted, Paid: 30_00, Due: 30_00, Currency: "EUR",
				Allocations: []order.Allocation{{Item: a, Cents: 10_00}, {Item: b, Cents: 20_00}},
			},
			{
				State: order.PaymentLive, Paid: 30_01, Due: 30_00, Currency: "EUR",
				Allocations: []order.Allocation{{Item: a, Cents: 10_00}, {Item: b, Cents: 20_01}},
			},
		},
		Refunds: []order.Refund{{Item: b, State: order.RefundAccepted, Cents: money.Cents(20_01), Currency: "EUR"}},
	}
	got := moneyOf(o)
	want := moneyView{
		Due: "€30.00", Paid: "€30.01", Refunded: "€20.01", Kept: "€10.00", Difference: "€0.01", Unexplained: "€0.00",
		Balanced: true, HasPaid: true, Currency: "EUR", Payments: o.Payments,
		Rows: []moneyRow{{"a", "€10.00", "€10.00", "€0.00", "€10.00"}, {"b", "€20.00", "€20.01", "€20.01", "€0.00"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
