package main

// fact is what is said about a member beyond its Go type.
type fact struct {
	says    string
	enum    []string
	format  string
	pattern string
	minimum *int
}

const (
	decimal  = `^-?[0-9]+(\.[0-9]+)?$`
	currency = `^[A-Z]{3}$`
)

var one = 1

// facts has every member of event.Data by its path; a member without a row stops the generator.
var facts = map[string]fact{
	"tenant_id": {says: "The tenant whose order it is."},
	"order_id":  {says: "The order."},
	"number": {
		says:    "The order's number for people, unique per tenant.",
		pattern: "^ORD-[0-9A-HJKMNP-TV-Z]{8}$",
	},
	"customer_id": {says: "The member who ordered.", format: "uuid"},
	"seq":         {says: "Number of this event in its order: from 1, without a gap.", minimum: &one},
	"version":     {says: "Version of the order after the transaction that published this event.", minimum: &one},
	"from":        {says: "State of the order before the event.", enum: orderStates()},
	"to": {
		says: "State of the order after the event; the same as from when the order did not move.",
		enum: orderStates(),
	},
	"outcome": {says: "How much of the order was delivered.", enum: []string{"none", "partial", "full"}},
	"settlement": {
		says: "Whether machines and money are at rest.",
		enum: []string{"open", "compensating", "settled", "stuck"},
	},
	"fulfillment_policy": {
		says: "What one item that cannot be built means for the others.",
		enum: []string{"per_item", "all_or_nothing"},
	},
	"created_at":       {says: "When the order was made."},
	"due_now":          {says: "What the order costs for its first period."},
	"due_now.amount":   {says: "A decimal with the currency's digits.", pattern: decimal},
	"due_now.currency": {says: "ISO 4217.", pattern: currency},
	"items":            {says: "Every item with its state after the event."},
	"items[]":          {},
	"items[].id":       {says: "The item."},
	"items[].product":  {says: "Product of the catalogue."},
	"items[].state":    {says: "State of the item.", enum: itemStates()},
	"actor":            {says: "Who did it: kind, colon, id or name.", pattern: "^(member|provider|system):.+$"},
	"reason":           {says: "What a person gave as the reason. Free text, and it travels with the event."},

	"item":                            {says: "The item that the event is about."},
	"item.id":                         {says: "The item."},
	"item.line":                       {says: "Its position in the order.", minimum: &one},
	"item.product":                    {says: "Product of the catalogue."},
	"item.from":                       {says: "State of the item before the event.", enum: itemStates()},
	"item.to":                         {says: "State of the item after the event.", enum: itemStates()},
	"item.generation":                 {says: "Rises each time the item is ordered anew by a restore.", minimum: &one},
	"item.attempt":                    {says: "Which of the six calls failed.", minimum: &one},
	"item.billing":                    {says: "All that billing needs to know about a delivered item."},
	"item.billing.product":            {says: "Product of the catalogue."},
	"item.billing.plan":               {says: "Plan of the product, where it has plans."},
	"item.billing.region":             {says: "Where it runs."},
	"item.billing.configuration":      {says: "What was ordered, by the product's own schema."},
	"item.billing.billing_cycle":      {says: "How it is paid.", enum: []string{"monthly", "annual"}},
	"item.billing.lines":              {says: "Components of the monthly price, in EUR."},
	"item.billing.lines[]":            {},
	"item.billing.lines[].component":  {says: "Price component of the catalogue."},
	"item.billing.lines[].quantity":   {says: "How many units."},
	"item.billing.lines[].unit_price": {says: "Price of a unit per month, in EUR.", pattern: decimal},
	"item.billing.lines[].amount":     {says: "Price of the line per month, in EUR.", pattern: decimal},
	"item.billing.formula_version":    {says: "Version of the product's price formula.", minimum: &one},
	"item.billing.monthly":            {says: "Price of a month in the order's currency."},
	"item.billing.monthly.amount":     {says: "A decimal with the currency's digits.", pattern: decimal},
	"item.billing.monthly.currency":   {says: "ISO 4217.", pattern: currency},
	"item.billing.due":                {says: "Price of the first period."},
	"item.billing.due.amount":         {says: "A decimal with the currency's digits.", pattern: decimal},
	"item.billing.due.currency":       {says: "ISO 4217.", pattern: currency},
	"item.billing.period_start":       {says: "When the first period begins: at delivery."},
	"payment":                         {says: "The payment that the event is about, or that pays for its item."},
	"payment.id":                      {says: "The payment."},
	"payment.provider":                {says: "Who took the money."},
	"payment.reference":               {says: "The provider's reference."},
	"payment.method":                  {says: "How it was paid."},
	"payment.amount":                  {says: "What came in."},
	"payment.amount.amount":           {says: "A decimal with the currency's digits.", pattern: decimal},
	"payment.amount.currency":         {says: "ISO 4217.", pattern: currency},
	"payment.due":                     {says: "What was asked for."},
	"payment.due.amount":              {says: "A decimal with the currency's digits.", pattern: decimal},
	"payment.due.currency":            {says: "ISO 4217.", pattern: currency},
	"payment.paid_at":                 {says: "When it was paid."},
	"refund":                          {says: "The refund that the event is about."},
	"refund.id":                       {says: "The refund."},
	"refund.payment_id":               {says: "The payment that is refunded."},
	"refund.item_id":                  {says: "The item whose share is refunded."},
	"refund.amount":                   {says: "The item's share of the payment."},
	"refund.amount.amount":            {says: "A decimal with the currency's digits.", pattern: decimal},
	"refund.amount.currency":          {says: "ISO 4217.", pattern: currency},
	"refund.state": {
		says: "How far the refund is.",
		enum: []string{"requested", "accepted", "completed", "stuck"},
	},
	"faults":           {says: "Why validation rejected the order: every fault."},
	"faults[]":         {},
	"faults[].pointer": {says: "JSON pointer to the member at fault."},
	"faults[].code":    {says: "Stable code of the fault."},
	"faults[].message": {says: "One sentence for a person."},
}
