package notice

var operatorTexts = map[Key]phrase{
	"operators.subject": {"{brand}: {what}", "{brand}: {what}", "{brand}: {what}"},
	"operators.footer": {
		"You get at most one such mail an hour. What happens in between is counted in the next one.",
		"Höchstens eine solche E-Mail kommt in der Stunde. Was bis dahin geschieht, zählt die nächste.",
		"Takšno sporočilo pride največ enkrat na uro. Kar se zgodi vmes, šteje naslednje.",
	},

	"item-stuck.text": {
		"The clean-up of an item ran out of retries: something of it may still exist at the provider. The order stays open " +
			"until somebody acts. The customer's refund continues meanwhile.",
		"Beim Abbau eines Postens sind alle Versuche verbraucht: Beim Anbieter kann noch etwas davon bestehen. Die " +
			"Bestellung bleibt offen, bis jemand handelt. Die Erstattung an den Kunden läuft daneben weiter.",
		"Pri odstranjevanju postavke so vsi poskusi porabljeni: pri ponudniku lahko nekaj še obstaja. Naročilo ostane " +
			"odprto, dokler nekdo ne ukrepa. Vračilo stranki medtem teče naprej.",
	},
	"refund-failed.text": {
		"The payment provider did not accept a refund. The customer was told that we are on it, and the order stays open " +
			"until the money is on its way.",
		"Der Zahlungsdienst hat eine Erstattung nicht angenommen. Der Kunde weiß, dass wir uns darum kümmern; die " +
			"Bestellung bleibt offen, bis das Geld unterwegs ist.",
		"Plačilni ponudnik ni sprejel vračila. Stranka ve, da to urejamo; naročilo ostane odprto, dokler denar ni na poti.",
	},
	"dead-letter.text": {
		"Work could not be finished after all retries. The desk shows the cause and what to do.",
		"Eine Arbeit konnte auch nach allen Versuchen nicht beendet werden. Ursache und nächster Schritt stehen auf dem " +
			"Störungstisch.",
		"Dela ni bilo mogoče končati niti po vseh poskusih. Vzrok in naslednji korak sta na operativni mizi.",
	},
	"payment-overdue.text": {
		"More than half of the time to pay is over, and no payment was confirmed. When it runs out, the order is cancelled " +
			"automatically.",
		"Mehr als die Hälfte der Zahlungsfrist ist vorbei, und keine Zahlung wurde bestätigt. Läuft sie ab, wird die " +
			"Bestellung von selbst storniert.",
		"Več kot polovica plačilnega roka je mimo in plačilo ni potrjeno. Ko rok poteče, se naročilo prekliče samo.",
	},
	"books-differ.text": {
		"When an order ended, the receipts of its payments and refunds did not add up to the price of its items. Nothing " +
			"was changed automatically: compare the payments and refunds of the order.",
		"Am Ende einer Bestellung ergeben die Belege ihrer Zahlungen und Erstattungen nicht, was ihre Posten wert sind. " +
			"Von selbst wurde nichts unternommen: Vergleichen Sie Zahlungen und Erstattungen der Bestellung.",
		"Ob koncu naročila se potrdila o plačilih in vračilih ne ujemajo z vrednostjo postavk. Samodejno ni bilo storjeno " +
			"nič: primerjajte plačila in vračila naročila.",
	},
	"webhook-failing.text": {
		"A message could not be delivered in ten calls over about three days, so nothing is posted there any more. Events " +
			"are still kept.",
		"Zehn Aufrufe über etwa drei Tage haben eine Nachricht nicht durchgebracht. Deshalb wird dorthin nichts mehr " +
			"gesendet. Ereignisse werden weiter aufbewahrt.",
		"Deset klicev v približno treh dneh sporočila ni dostavilo, zato se tja ne pošilja nič več. Dogodki se še naprej " +
			"hranijo.",
	},
	"webhook-failing.todo": {
		"What to do: repair your endpoint and take the webhook back into service (in the portal, or by PATCH with " +
			"\"enabled\": true). What waited is posted at once. Then replay the delivery that failed: it is not posted again " +
			"automatically.",
		"Was zu tun ist: Bringen Sie Ihren Endpunkt in Ordnung und nehmen Sie den Webhook wieder in Betrieb (im Portal " +
			"oder mit PATCH und \"enabled\": true). Was gewartet hat, wird sofort gesendet. Wiederholen Sie dann die " +
			"fehlgeschlagene Zustellung: Von selbst wird sie nicht noch einmal gesendet.",
		"Kaj storiti: popravite svojo končno točko in webhook znova vključite (v portalu ali s PATCH in \"enabled\": " +
			"true). Kar je čakalo, se pošlje takoj. Nato ponovite neuspelo dostavo: sama od sebe se ne pošlje znova.",
	},
	"webhook.since":  {"Failing since {at}", "Gestört seit {at}", "V okvari od {at}"},
	"webhook.answer": {"Last answer: {answer}", "Letzte Antwort: {answer}", "Zadnji odgovor: {answer}"},
	"webhook.path":   {"In the API: /v1/webhooks/{id}", "In der API: /v1/webhooks/{id}", "V API-ju: /v1/webhooks/{id}"},

	"silent.not-in-time": {"none within 5 seconds", "keine innerhalb von 5 Sekunden", "nobenega v 5 sekundah"},
	"silent.no-name": {
		"none: the name does not resolve", "keine: der Name lässt sich nicht auflösen",
		"nobenega: imena ni mogoče razrešiti",
	},
	"silent.no-route": {
		"none: no connection, or it broke", "keine: keine Verbindung, oder sie brach ab",
		"nobenega: povezave ni bilo ali pa se je prekinila",
	},
	"silent.no-trust": {
		"none: no TLS that can be trusted", "keine: kein vertrauenswürdiges TLS",
		"nobenega: TLS ni vreden zaupanja",
	},
	"silent.not-allowed": {
		"none: the address is not on the public internet",
		"keine: die Adresse liegt nicht im öffentlichen Internet", "nobenega: naslov ni v javnem internetu",
	},
}

var operatorCounts = map[Key]counted{
	"item-stuck.what": {
		[2]string{"{n} item is stuck", "{n} items are stuck"},
		[2]string{"{n} Posten hängt fest", "{n} Posten hängen fest"},
		[4]string{
			"{n} postavka se je zataknila", "{n} postavki sta se zataknili", "{n} postavke so se zataknile",
			"{n} postavk se je zataknilo",
		},
	},
	"refund-failed.what": {
		[2]string{"{n} refund is stuck", "{n} refunds are stuck"},
		[2]string{"{n} Erstattung hängt fest", "{n} Erstattungen hängen fest"},
		[4]string{
			"{n} vračilo se je zataknilo", "{n} vračili sta se zataknili", "{n} vračila so se zataknila",
			"{n} vračil se je zataknilo",
		},
	},
	"dead-letter.what": {
		[2]string{"{n} new dead letter", "{n} new dead letters"},
		[2]string{"{n} neuer Störfall", "{n} neue Störfälle"},
		[4]string{"{n} nov zastoj", "{n} nova zastoja", "{n} novi zastoji", "{n} novih zastojev"},
	},
	"payment-overdue.what": {
		[2]string{"{n} order waits long for its payment", "{n} orders wait long for their payment"},
		[2]string{"{n} Bestellung wartet lange auf ihre Zahlung", "{n} Bestellungen warten lange auf ihre Zahlung"},
		[4]string{
			"{n} naročilo dolgo čaka na plačilo", "{n} naročili dolgo čakata na plačilo",
			"{n} naročila dolgo čakajo na plačilo", "{n} naročil dolgo čaka na plačilo",
		},
	},
	"books-differ.what": {
		[2]string{"the books of {n} order do not agree", "the books of {n} orders do not agree"},
		[2]string{
			"die Bücher von {n} Bestellung stimmen nicht überein",
			"die Bücher von {n} Bestellungen stimmen nicht überein",
		},
		[4]string{
			"knjige {n} naročila se ne ujemajo", "knjige {n} naročil se ne ujemajo", "knjige {n} naročil se ne ujemajo",
			"knjige {n} naročil se ne ujemajo",
		},
	},
	"webhook-failing.what": {
		[2]string{"{n} webhook is failing", "{n} webhooks are failing"},
		[2]string{"{n} Webhook ist gestört", "{n} Webhooks sind gestört"},
		[4]string{"{n} webhook ne deluje", "{n} webhooka ne delujeta", "{n} webhooki ne delujejo", "{n} webhookov ne deluje"},
	},
	"operators.more": {
		[2]string{"and {n} more", "and {n} more"},
		[2]string{"und {n} weitere", "und {n} weitere"},
		[4]string{"in še {n}", "in še {n}", "in še {n}", "in še {n}"},
	},
}
