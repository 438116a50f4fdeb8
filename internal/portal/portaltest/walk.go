package portaltest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// User is a person who signs in: a demo user by address, or the holder of an API key.
type User struct {
	Email string
	Key   string
}

// deliveryLimit is how long a server may take from order to mail. The goal is 90 s (D6).
const deliveryLimit = 2 * time.Minute

// SignIn opens a session.
func (b *Browser) SignIn(u User) {
	b.t.Helper()
	b.Go("/sign-in")
	if u.Key != "" {
		b.Type("#key", u.Key)
		b.Press("main form button[type=submit]")
	} else {
		mail, _ := json.Marshal(u.Email)
		b.Until("the demo user "+u.Email,
			`[...document.querySelectorAll('.user-mail')].some(e => e.textContent.trim() === `+string(mail)+`)`)
		Must[bool](b, `[...document.querySelectorAll('.user-mail')].find(e => e.textContent.trim() === `+string(mail)+
			`).closest('button').click() === undefined`)
	}
	b.Until("a session", `document.querySelector('.who-am') && !location.pathname.startsWith('/sign-in')`)
}

// SignOut ends the session.
func (b *Browser) SignOut() {
	b.t.Helper()
	b.Press(".who button")
	b.Until("the sign-in page", `location.pathname === '/sign-in'`)
}

// Walk does what a customer does: sign in, configure a server with a live price, put it into the cart, order it
// with a payment that confirms automatically, and watch its delivery on one page without reloading it. It needs
// the payment method "demo" and a catalogue that sells vps. It returns the path of the order's page.
func Walk(t testing.TB, base string, u User) string {
	t.Helper()
	b := Open(t, base)
	b.Size(1280)
	b.Go("/sign-in")
	b.Look("sign-in")
	b.SignIn(u)

	b.Go("/catalog")
	b.Look("catalog")
	b.Press(`a[href="/catalog/vps"]`)
	b.Until("the configurator", `document.querySelector('#total .total-sum')`)
	b.Look("configurator")
	b.Size(1280)
	before := b.Text("#total .total-sum")
	b.Press(`label:has(input[name=plan][value=enterprise])`)
	b.Until("the price of the larger plan",
		`document.querySelector('#total .total-sum').textContent.trim() !== `+quoted(before))
	if !strings.Contains(b.Text("#quote"), "56.60") {
		t.Errorf("the price of the enterprise plan is not in the quote: %s", b.Text("#quote"))
	}
	b.Type("#label", "walk-1")
	b.Press(`button[value=add]`)
	b.Until("the cart", `location.pathname.endsWith('/cart')`)
	b.Look("cart")
	b.Size(1280)
	if Must[bool](b, `Boolean(document.querySelector('select#payment_method'))`) {
		b.do(selectValue("#payment_method", "demo"))
	}
	b.Press(`button[value=submit]`)
	b.Until("the order's page", `/^\/orders\/[0-9a-f-]{36}$/.test(location.pathname)`)
	path := Must[string](b, `location.pathname`)

	Must[bool](b, `window.walked = true`)
	b.Until("a first change of state without navigation",
		`window.walked && !document.querySelector('.stop-here .stop-text').textContent.startsWith('Awaiting')`)
	b.UntilWithin(deliveryLimit, "delivery without navigation",
		`window.walked && document.querySelector('.stop-here .stop-text').textContent.startsWith('Fulfilled')`)
	b.Until("the timeline",
		`[...document.querySelectorAll('.timeline strong')].some(e => e.textContent === 'Order fulfilled')`)
	b.Look("order-fulfilled")
	if got := b.Text(".balance"); !strings.HasSuffix(got, "0.00 unexplained") {
		t.Errorf("the order's money does not add up: %q", got)
	}
	b.Go("/orders?q=walk-1")
	b.Until("the order in the list", `document.querySelector('a.row[href="`+path+`"]')`)
	b.Look("orders")
	b.Go("/account")
	b.Look("account")
	b.Quiet()
	return path
}

func quoted(s string) string {
	q, _ := json.Marshal(s)
	return string(q)
}
