package main

// fact documents a member beyond its Go type.
type fact struct {
	description string
	enum        []string
	format      string
	pattern     string
	minimum     *int
}

const (
	decimal  = `^-?[0-9]+(\.[0-9]+)?$`
	currency = `^[A-Z]{3}$`
)

var one = 1 // a minimum

// facts documents every member of event.Data by its path. The generator fails if a member has no row.
var facts = map[string]fact{
	"tenant_id": {description: "The tenant whose order it is."},
	"order_id":  {description: "The order."},
	"number": {
		description: "The order's number for people, unique per tenant.",
		pattern:     "^ORD-[0-9A-HJKMNP-TV-Z]{8}$",
	},
	"customer_id": {description: "The member who ordered.", format: "uuid"},
	"seq":         {description: "Number of this event in its order: from 1, without a gap.", minimum: &one},
	"version":     {description: "Version of the order after the transaction that published this event.", minimum: &one},
	"from":        {description: "State of the order before the event.", enum: orderStates()},
	"to": {
		description: "State of the order after the event; the same as from when the order did not move.",
		enum:        orderStates(),
	},
	"outcome": {description: "How much of the order was delivered.", enum: []string{"none", "partial", "full"}},
	"settlement": {
		description: "Whether the removals and refunds that are due are finished.",
		enum:        []string{"open", "compensating", "settled", "stuck"},
	},
	"fulfillment_policy": {
		description: "What one item that cannot be built means for the others.",
		enum:        []string{"per_item", "all_or_nothing"},
	},
	"created_at":       {description: "When the order was created."},
	"due_now":          {description: "What the order costs for its first period."},
	"due_now.amount":   {description: "A decimal with the currency's digits.", pattern: decimal},
	"due_now.currency": {description: "ISO 4217.", pattern: currency},
	"items":            {description: "Every item with its state after the event."},
	"items[]":          {},
	"items[].id":       {description: "The item."},
	"items[].product":  {description: "Product of the catalogue."},
	"items[].state":    {description: "State of the item.", enum: itemStates()},
	"actor":            {description: "Who did it: kind, colon, id or name.", pattern: "^(member|provider|system):.+$"},
	"reason":           {description: "The reason that a person gave: free text, which is published with the event."},

	"item":                            {description: "The item that the event is about."},
	"item.id":                         {description: "The item."},
	"item.line":                       {description: "Its position in the order.", minimum: &one},
	"item.product":                    {description: "Product of the catalogue."},
	"item.from":                       {description: "State of the item before the event.", enum: itemStates()},
	"item.to":                         {description: "State of the item after the event.", enum: itemStates()},
	"item.generation":                 {description: "Rises each time a restore orders the item again.", minimum: &one},
	"item.attempt":                    {description: "Which of the six calls failed.", minimum: &one},
	"item.billing":                    {description: "The billing terms of a delivered item."},
	"item.billing.product":            {description: "Product of the catalogue."},
	"item.billing.plan":               {description: "Plan of the product, where it has plans."},
	"item.billing.region":             {description: "Where it runs."},
	"item.billing.configuration":      {description: "What was ordered, by the product's own schema."},
	"item.billing.billing_cycle":      {description: "How it is paid.", enum: []string{"monthly", "annual"}},
	"item.billing.lines":              {description: "Components of the monthly price, in EUR."},
	"item.billing.lines[]":            {},
	"item.billing.lines[].component":  {description: "Price component of the catalogue."},
	"item.billing.lines[].quantity":   {description: "How many units."},
	"item.billing.lines[].unit_price": {description: "Price of a unit per month, in EUR.", pattern: decimal},
	"item.billing.lines[].amount":     {description: "Price of the line per month, in EUR.", pattern: decimal},
	"item.billing.formula_version":    {description: "Version of the product's price formula.", minimum: &one},
	"item.billing.monthly":            {description: "Price of a month in the order's currency."},
	"item.billing.monthly.amount":     {description: "A decimal with the currency's digits.", pattern: decimal},
	"item.billing.monthly.currency":   {description: "ISO 4217.", pattern: currency},
	"item.billing.due":                {description: "Price of the first period."},
	"item.billing.due.amount":         {description: "A decimal with the currency's digits.", pattern: decimal},
	"item.billing.due.currency":       {description: "ISO 4217.", pattern: currency},
	"item.billing.period_start":       {description: "When the first period begins: at delivery."},
	"payment":                         {description: "The payment that the event is about, or that pays for its item."},
	"payment.id":                      {description: "The payment."},
	"payment.provider":                {description: "The payment provider that received the money."},
	"payment.reference":               {description: "The provider's reference."},
	"payment.method":                  {description: "How it was paid."},
	"payment.amount":                  {description: "The amount that was received."},
	"payment.amount.amount":           {description: "A decimal with the currency's digits.", pattern: decimal},
	"payment.amount.currency":         {description: "ISO 4217.", pattern: currency},
	"payment.due":                     {description: "The amount that was due."},
	"payment.due.amount":              {description: "A decimal with the currency's digits.", pattern: decimal},
	"payment.due.currency":            {description: "ISO 4217.", pattern: currency},
	"payment.paid_at":                 {description: "When it was paid."},
	"refund":                          {description: "The refund that the event is about."},
	"refund.id":                       {description: "The refund."},
	"refund.payment_id":               {description: "The payment that is refunded."},
	"refund.item_id":                  {description: "The item whose share is refunded."},
	"refund.amount":                   {description: "The item's share of the payment."},
	"refund.amount.amount":            {description: "A decimal with the currency's digits.", pattern: decimal},
	"refund.amount.currency":          {description: "ISO 4217.", pattern: currency},
	"refund.state": {
		description: "How far the refund is.",
		enum:        []string{"requested", "accepted", "completed", "stuck"},
	},
	"faults":           {description: "Why validation rejected the order: every fault."},
	"faults[]":         {},
	"faults[].pointer": {description: "JSON pointer to the member with the fault."},
	"faults[].code":    {description: "Stable code of the fault."},
	"faults[].message": {description: "One sentence for a person."},
}
