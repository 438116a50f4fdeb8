package portaltest

import "github.com/platforma-cloud/orders/internal/tenant"

// Page is an entry of the storybook, which shows every page in each of its states.
type Page struct {
	Name   string
	Path   string
	As     tenant.Actor
	Status int
}

func (s *Story) pages() {
	at := func(name, suffix string) string { return "/orders/" + s.Orders[name].String() + suffix }
	hook := func(name, suffix string) string {
		return "/settings/webhooks/" + s.Webhooks[name].String() + suffix
	}
	deadLetter := func(name string) string { return "/desk/dead-letters/" + s.DeadLetters[name].String() }
	nobody := tenant.Actor{}
	s.Pages = []Page{
		{"catalog", "/catalog", s.Ana, 200},
		{"config-vps", "/catalog/vps", s.Ana, 200},
		{"config-kubernetes", "/catalog/kubernetes", s.Ana, 200},
		{"config-database", "/catalog/database", s.Ana, 200},
		{"config-gpu", "/catalog/gpu", s.Ana, 200},
		{"config-private-cloud", "/catalog/private_cloud", s.Ana, 200},
		{"config-object-storage", "/catalog/object_storage", s.Ana, 200},
		{"cart", at("draft", "/cart"), s.Ana, 200},
		{"cart-empty", "/cart", s.Bor, 200},
		{"orders", "/orders", s.Ana, 200},
		{"orders-none-match", "/orders?q=nothing", s.Ana, 200},
		{"orders-empty", "/orders", s.Bor, 200},
		{"orders-operator", "/orders", s.Olga, 200},
		{"order-draft", at("draft", ""), s.Ana, 200},
		{"order-pending", at("pending", ""), s.Ana, 200},
		{"order-held", at("paid", ""), s.Olga, 200},
		{"order-building", at("building", ""), s.Ana, 200},
		{"order-fulfilled", at("fulfilled", ""), s.Ana, 200},
		{"order-partial", at("partial", ""), s.Ana, 200},
		{"order-cancelled", at("cancelled", ""), s.Ana, 200},
		{"order-failed", at("failed", ""), s.Ana, 200},
		{"saga", at("building", "/saga"), s.Olga, 200},
		{"saga-empty", at("draft", "/saga"), s.Olga, 200},
		{"order-stuck", at("stuck", ""), s.Olga, 200},
		{"cancel", at("building", "/do/cancel"), s.Ana, 200},
		{"cancel-unpaid", at("pending", "/do/cancel"), s.Ana, 200},
		{"restore", at("cancelled", "/do/restore"), s.Ana, 200},
		{"revert", at("paid", "/do/revert-payment"), s.Olga, 200},
		{"payment", at("pending", "/payment"), s.Olga, 200},
		{"desk-payments", "/desk/payments", s.Olga, 200},
		{"desk-refunds", "/desk/refunds", s.Olga, 200},
		{"desk-dead-letters", "/desk/dead-letters", s.Olga, 200},
		{"desk-dead-letters-auditor", "/desk/dead-letters", s.Vera, 200},
		{"desk-dead-letter-protected", deadLetter("protected"), s.Olga, 200},
		{"desk-dead-letter-unclear", deadLetter("unclear"), s.Olga, 200},
		{"desk-dead-letter-signed-by-another", deadLetter("signed"), s.Olga, 200},
		{"desk-dead-letter-signed-by-me", deadLetter("signed"), s.Adam, 200},
		{"desk-dead-letter-auditor", deadLetter("signed"), s.Vera, 200},
		{"desk-dead-letter-foreign", deadLetter("signed")[:len(deadLetter("signed"))-2] + "zz", s.Olga, 404},
		{"desk-figures", "/desk/figures", s.Olga, 200},
		{"desk-routing", "/desk/routing", s.Olga, 200},
		{"settings", "/settings", s.Adam, 200},
		{"settings-auditor", "/settings", s.Vera, 200},
		{"webhooks", "/settings/webhooks", s.Adam, 200},
		{"webhook", hook("active", ""), s.Adam, 200},
		{"webhook-failing", hook("failing", ""), s.Adam, 200},
		{"webhook-disabled", hook("disabled", ""), s.Adam, 200},
		{"webhook-delivery", hook("active", "/deliveries/"+s.WebhookDelivery.String()), s.Adam, 200},
		{"webhooks-auditor", "/settings/webhooks", s.Vera, 200},
		{"webhook-auditor", hook("active", ""), s.Vera, 200},
		{"webhooks-no-permission", "/settings/webhooks", s.Ana, 403},
		{"account", "/account", s.Ana, 200},
		{"account-auditor", "/account", s.Vera, 200},
		{"brand", "/catalog/vps", s.Bor, 200},
		{"no-permission", "/desk/figures", s.Ana, 403},
		{"not-found", "/orders/00000000-0000-7000-8000-000000000000", s.Ana, 404},
		{"conflict", at("fulfilled", "/do/cancel"), s.Ana, 409},
		{"sign-in-again", "/sign-in/again?next=/account", s.Ana, 200},
		{"sign-in", "/sign-in", nobody, 200},
	}
}
