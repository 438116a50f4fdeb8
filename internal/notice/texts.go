package notice

import "maps"

// Key is the name of a text.
type Key string

// catalogue holds every text, numbers every text that depends on a number. Nothing writes to them after start.
var (
	catalogue = joined(labelTexts, customerTexts, operatorTexts, deliveryTexts)
	numbers   = joined(customerCounts, operatorCounts)
)

func joined[T any](groups ...map[Key]T) map[Key]T {
	texts := map[Key]T{}
	for _, group := range groups {
		maps.Copy(texts, group)
	}
	return texts
}

var labelTexts = map[Key]phrase{
	"label.amount":    {"Amount", "Betrag", "Znesek"},
	"label.order":     {"Order", "Bestellung", "Naročilo"},
	"label.orders":    {"Orders", "Bestellungen", "Naročila"},
	"label.paid":      {"Paid", "Bezahlt", "Plačan znesek"},
	"label.paid-at":   {"Paid on", "Bezahlt am", "Datum plačila"},
	"label.reference": {"Reference", "Referenz", "Sklic"},
	"label.refund":    {"Refund", "Erstattung", "Vračilo"},
	"label.refunds":   {"Refunds in all", "Erstattungen insgesamt", "Vračila skupaj"},
	"label.since":     {"Since", "Seit", "Od"},
	"label.total":     {"Total", "Summe", "Skupaj"},
	"label.way":       {"Paid back", "Rückzahlung", "Način vračila"},

	"cycle.monthly": {"billed monthly", "monatliche Abrechnung", "mesečni obračun"},
	"cycle.annual":  {"billed annually", "jährliche Abrechnung", "letni obračun"},

	"button.order":    {"View the order", "Bestellung ansehen", "Ogled naročila"},
	"button.desk":     {"Open the desk", "Zum Störungstisch", "Odpri operativno mizo"},
	"button.webhooks": {"Open the webhooks", "Zu den Webhooks", "Odpri webhooke"},

	"simulated": {
		"Simulated region: this service exists in a simulation only. It runs on no real machine.",
		"Simulierte Region: Dieser Dienst besteht nur in einer Simulation. Er läuft auf keiner echten Maschine.",
		"Simulirana regija: ta storitev obstaja le v simulaciji. Ne teče na resničnem strežniku.",
	},
}
