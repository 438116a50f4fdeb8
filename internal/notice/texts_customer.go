package notice

var customerTexts = map[Key]phrase{
	"paid.subject": {"Payment received for {order}", "Zahlung für {order} eingegangen", "Prejeli smo plačilo za {order}"},
	"paid.heading": {
		"Thank you, we received your payment", "Vielen Dank, Ihre Zahlung ist eingegangen",
		"Hvala, prejeli smo vaše plačilo",
	},
	"paid.note": {
		"Prices are net of tax. This is a receipt of your payment, not an invoice.",
		"Alle Preise verstehen sich ohne Steuern. Dies ist eine Zahlungsbestätigung, keine Rechnung.",
		"Cene so brez davkov. To je potrdilo o plačilu in ne račun.",
	},

	"started.subject": {
		"Order {order} is being built", "Bestellung {order} wird bereitgestellt",
		"Naročilo {order} vzpostavljamo",
	},
	"started.heading": {"Your order is being built", "Ihre Bestellung wird bereitgestellt", "Vaše naročilo vzpostavljamo"},
	"started.next": {
		"As soon as a service is ready, its access data come encrypted, in a mail of their own.",
		"Sobald ein Dienst bereit ist, kommen seine Zugangsdaten verschlüsselt in einer eigenen E-Mail.",
		"Ko bo posamezna storitev pripravljena, boste podatke za dostop prejeli šifrirane v ločenem sporočilu.",
	},

	"refund.subject": {
		"Refund of {amount} for {order}", "Erstattung von {amount} für {order}",
		"Vračilo {amount} za {order}",
	},
	"refund.heading": {"We are refunding {amount}", "Wir erstatten Ihnen {amount}", "Vračamo vam {amount}"},

	"delayed.subject": {
		"The refund for {order} is delayed", "Die Erstattung für {order} verzögert sich",
		"Vračilo za {order} zamuja",
	},
	"delayed.heading": {"Your refund is delayed", "Ihre Erstattung verzögert sich", "Vaše vračilo zamuja"},
	"delayed.lead": {
		"The payment provider has not accepted the refund of {amount} for order {order} yet. We are on it: there is " +
			"nothing for you to do, and you will hear from us when the money is on its way.",
		"Der Zahlungsdienst hat die Erstattung von {amount} für Bestellung {order} noch nicht angenommen. Wir kümmern uns " +
			"darum: Sie müssen nichts tun, und wir melden uns, sobald das Geld unterwegs ist.",
		"Plačilni ponudnik vračila {amount} za naročilo {order} še ni sprejel. To že urejamo: vam ni treba storiti " +
			"ničesar, obvestili vas bomo, ko bo denar na poti.",
	},

	"moving.subject": {
		"The refund for {order} is on its way", "Die Erstattung für {order} ist unterwegs",
		"Vračilo za {order} je na poti",
	},
	"moving.heading": {"Your refund is on its way", "Ihre Erstattung ist unterwegs", "Vaše vračilo je na poti"},
	"moving.lead": {
		"The refund of {amount} for order {order} was delayed. The payment provider has accepted it now.",
		"Die Erstattung von {amount} für Bestellung {order} hatte sich verzögert. Jetzt hat der Zahlungsdienst sie " +
			"angenommen.",
		"Vračilo {amount} za naročilo {order} je zamujalo. Zdaj ga je plačilni ponudnik sprejel.",
	},

	"fulfilled.subject": {
		"Order {order} is fulfilled", "Bestellung {order} ist ausgeführt",
		"Naročilo {order} je izpolnjeno",
	},
	"fulfilled.heading": {"Your order is fulfilled", "Ihre Bestellung ist ausgeführt", "Vaše naročilo je izpolnjeno"},
	"partly.subject": {
		"Order {order} is fulfilled in part", "Bestellung {order} ist teilweise ausgeführt",
		"Naročilo {order} je delno izpolnjeno",
	},
	"partly.heading": {
		"Your order is fulfilled in part", "Ihre Bestellung ist teilweise ausgeführt",
		"Vaše naročilo je delno izpolnjeno",
	},

	"cancelled.subject": {
		"Order {order} is cancelled", "Bestellung {order} ist storniert",
		"Naročilo {order} je preklicano",
	},
	"cancelled.heading": {"Your order is cancelled", "Ihre Bestellung ist storniert", "Vaše naročilo je preklicano"},
	"cancelled.lead": {
		"Order {order} is cancelled. Nothing of it is left running.",
		"Bestellung {order} ist storniert. Nichts davon läuft noch.",
		"Naročilo {order} je preklicano. Nobena storitev iz njega ne teče več.",
	},
	"cancelled.unpaid": {
		"Order {order} was not paid in time and is therefore cancelled. Nothing was built, and you owe nothing.",
		"Bestellung {order} wurde nicht rechtzeitig bezahlt und ist deshalb storniert. Es wurde nichts bereitgestellt, und " +
			"Sie schulden nichts.",
		"Naročilo {order} ni bilo pravočasno plačano, zato je preklicano. Nič ni bilo vzpostavljeno in ničesar ne dolgujete.",
	},
	"cancelled.free": {
		"Order {order} is cancelled. Nothing was paid, and nothing was built.",
		"Bestellung {order} ist storniert. Es wurde nichts bezahlt und nichts bereitgestellt.",
		"Naročilo {order} je preklicano. Nič ni bilo plačano in nič ni bilo vzpostavljeno.",
	},

	"failed.subject": {
		"Order {order} could not be fulfilled", "Bestellung {order} konnte nicht ausgeführt werden",
		"Naročila {order} ni bilo mogoče izpolniti",
	},
	"failed.heading": {
		"We could not fulfil your order", "Wir konnten Ihre Bestellung nicht ausführen",
		"Vašega naročila nismo mogli izpolniti",
	},
	"failed.lead": {
		"We are sorry: order {order} could not be built. Nothing of it is left running, and you pay nothing: all of it is " +
			"refunded.",
		"Es tut uns leid: Bestellung {order} konnte nicht bereitgestellt werden. Nichts davon läuft noch, und Sie bezahlen " +
			"nichts: Alles wird erstattet.",
		"Žal nam je: naročila {order} nismo mogli vzpostaviti. Nobena storitev iz njega ne teče in ne plačate ničesar: vse " +
			"vam vrnemo.",
	},
	"failed.rejected": {
		"We are sorry: a check showed that order {order} cannot be built. Nothing was set up, and you pay nothing: all of " +
			"it is refunded.",
		"Es tut uns leid: Eine Prüfung hat ergeben, dass Bestellung {order} nicht bereitgestellt werden kann. Es wurde " +
			"nichts eingerichtet, und Sie bezahlen nichts: Alles wird erstattet.",
		"Žal nam je: preverjanje je pokazalo, da naročila {order} ni mogoče vzpostaviti. Nič ni bilo vzpostavljeno in ne " +
			"plačate ničesar: vse vam vrnemo.",
	},

	"fate.coming":    {"Being built", "Wird bereitgestellt", "Se vzpostavlja"},
	"fate.delivered": {"Delivered", "Geliefert", "Dostavljeno"},
	"fate.dropped":   {"Not delivered", "Nicht geliefert", "Ni dostavljeno"},

	"refund.asked": {
		"Refund of {amount} requested", "Erstattung von {amount} veranlasst",
		"Vračilo {amount} je zahtevano",
	},
	"refund.accepted": {
		"Refund of {amount} on its way since {date}", "Erstattung von {amount} unterwegs seit {date}",
		"Vračilo {amount} je na poti, sprejeto {date}",
	},
	"refund.done": {
		"Refunded: {amount}, accepted on {date}", "Erstattet: {amount}, angenommen am {date}",
		"Vrnjeno: {amount}, sprejeto {date}",
	},
	"refund.stuck": {
		"Refund of {amount} delayed, we are on it",
		"Erstattung von {amount} verzögert, wir kümmern uns darum", "Vračilo {amount} zamuja, to že urejamo",
	},

	"way.transfer": {
		"By bank transfer, to the account that your payment came from",
		"Per Überweisung auf das Konto, von dem Ihre Zahlung kam",
		"Z nakazilom na račun, s katerega je prišlo vaše plačilo",
	},
	"way.same": {"The way you paid", "Auf dem Weg, auf dem Sie bezahlt haben", "Na enak način, kot ste plačali"},

	"why.technical": {
		"It could not be set up, even after several attempts.",
		"Die Einrichtung ist auch nach mehreren Versuchen nicht gelungen.",
		"Vzpostavitev ni uspela niti po več poskusih.",
	},
	"why.capacity": {
		"There was no free capacity for it in {region}.",
		"In {region} war dafür keine Kapazität frei.",
		"V regiji {region} ni bilo dovolj prostih zmogljivosti.",
	},
	"why.together": {
		"You chose all or nothing, so it was removed together with the rest.",
		"Sie haben „alles oder nichts“ gewählt, deshalb wurde auch dieser Dienst zurückgenommen.",
		"Izbrali ste »vse ali nič«, zato je bila razveljavljena skupaj z ostalimi.",
	},
	"why.rejected": {
		"A check before building showed that the order cannot be built.",
		"Eine Prüfung vor der Bereitstellung hat ergeben, dass die Bestellung nicht ausgeführt werden kann.",
		"Preverjanje pred vzpostavitvijo je pokazalo, da naročila ni mogoče izpolniti.",
	},

	"rejected.quota": {
		"The order needs more than is left of the quota.",
		"Die Bestellung braucht mehr, als vom Kontingent übrig ist.",
		"Naročilo zahteva več, kot je ostalo od kvote.",
	},
	"rejected.region": {
		"It is not offered in the chosen region at the moment.",
		"In der gewählten Region wird der Dienst zurzeit nicht angeboten.",
		"V izbrani regiji storitev trenutno ni na voljo.",
	},
	"rejected.image": {
		"The chosen operating system is not available there.",
		"Das gewählte Betriebssystem ist dort nicht verfügbar.",
		"Izbrani operacijski sistem tam ni na voljo.",
	},
	"rejected.capacity": {
		"There is no free capacity for it at the moment.",
		"Zurzeit ist dafür keine Kapazität frei.",
		"Trenutno ni dovolj prostih zmogljivosti.",
	},
	"rejected.cycle": {
		"Monthly and annual billing may not be mixed in one order.",
		"Monatliche und jährliche Abrechnung dürfen in einer Bestellung nicht gemischt werden.",
		"V enem naročilu ni dovoljeno mešati mesečnega in letnega obračuna.",
	},
	"rejected.other": {
		"It cannot be built as it was configured.",
		"So, wie der Dienst konfiguriert ist, kann er nicht bereitgestellt werden.",
		"Storitve v izbrani konfiguraciji ni mogoče vzpostaviti.",
	},

	"customer.footer": {
		"{brand} sent you this mail about your order {order}. It holds no access data: those come encrypted, in mails of " +
			"their own.",
		"{brand} sendet Ihnen diese E-Mail zu Ihrer Bestellung {order}. Sie enthält keine Zugangsdaten: Diese kommen " +
			"verschlüsselt in eigenen E-Mails.",
		"{brand} vam pošilja to sporočilo v zvezi z naročilom {order}. Ne vsebuje podatkov za dostop: te prejmete " +
			"šifrirane v ločenih sporočilih.",
	},
}

var customerCounts = map[Key]counted{
	"paid.lead": {
		[2]string{
			"Your service is now checked and then built. There is nothing for you to do.",
			"Your {n} services are now checked and then built. There is nothing for you to do.",
		},
		[2]string{
			"Ihr Dienst wird jetzt geprüft und dann bereitgestellt. Sie müssen nichts tun.",
			"Ihre {n} Dienste werden jetzt geprüft und dann bereitgestellt. Sie müssen nichts tun.",
		},
		[4]string{
			"Zdaj bomo preverili in nato vzpostavili {n} storitev. Vam ni treba storiti ničesar.",
			"Zdaj bomo preverili in nato vzpostavili {n} storitvi. Vam ni treba storiti ničesar.",
			"Zdaj bomo preverili in nato vzpostavili {n} storitve. Vam ni treba storiti ničesar.",
			"Zdaj bomo preverili in nato vzpostavili {n} storitev. Vam ni treba storiti ničesar.",
		},
	},
	"started.lead": {
		[2]string{
			"Your service passed its checks and is being built.",
			"All {n} services passed their checks and are being built.",
		},
		[2]string{
			"Ihr Dienst hat seine Prüfungen bestanden und wird jetzt bereitgestellt.",
			"Alle {n} Dienste haben ihre Prüfungen bestanden und werden jetzt bereitgestellt.",
		},
		[4]string{
			"Preverjanje je uspelo, vzpostavljamo {n} storitev.", "Preverjanje je uspelo, vzpostavljamo {n} storitvi.",
			"Preverjanje je uspelo, vzpostavljamo {n} storitve.", "Preverjanje je uspelo, vzpostavljamo {n} storitev.",
		},
	},
	"refund.lead": {
		[2]string{
			"{n} service of order {order} could not be delivered. You get back what you paid for it; there is nothing for " +
				"you to do.",
			"{n} services of order {order} could not be delivered. You get back what you paid for them; there is nothing for " +
				"you to do.",
		},
		[2]string{
			"{n} Dienst der Bestellung {order} konnte nicht geliefert werden. Sie erhalten zurück, was Sie dafür bezahlt " +
				"haben, und müssen nichts tun.",
			"{n} Dienste der Bestellung {order} konnten nicht geliefert werden. Sie erhalten zurück, was Sie dafür bezahlt " +
				"haben, und müssen nichts tun.",
		},
		[4]string{
			"{n} storitve iz naročila {order} ni bilo mogoče dostaviti. Vrnemo vam, kar ste zanjo plačali; vam ni treba " +
				"storiti ničesar.",
			"{n} storitev iz naročila {order} ni bilo mogoče dostaviti. Vrnemo vam, kar ste zanju plačali; vam ni treba " +
				"storiti ničesar.",
			"{n} storitev iz naročila {order} ni bilo mogoče dostaviti. Vrnemo vam, kar ste zanje plačali; vam ni treba " +
				"storiti ničesar.",
			"{n} storitev iz naročila {order} ni bilo mogoče dostaviti. Vrnemo vam, kar ste zanje plačali; vam ni treba " +
				"storiti ničesar.",
		},
	},
	"refund.cancelled": {
		[2]string{
			"Order {order} is being cancelled. You get back what you paid for {n} service.",
			"Order {order} is being cancelled. You get back what you paid for {n} services.",
		},
		[2]string{
			"Bestellung {order} wird storniert. Für {n} Dienst erhalten Sie zurück, was Sie bezahlt haben.",
			"Bestellung {order} wird storniert. Für {n} Dienste erhalten Sie zurück, was Sie bezahlt haben.",
		},
		[4]string{
			"Naročilo {order} preklicujemo. Za {n} storitev vam vrnemo, kar ste plačali.",
			"Naročilo {order} preklicujemo. Za {n} storitvi vam vrnemo, kar ste plačali.",
			"Naročilo {order} preklicujemo. Za {n} storitve vam vrnemo, kar ste plačali.",
			"Naročilo {order} preklicujemo. Za {n} storitev vam vrnemo, kar ste plačali.",
		},
	},
	"fulfilled.lead": {
		[2]string{
			"Your service is delivered. Its access data came in a mail of their own.",
			"All {n} services are delivered. Their access data came in mails of their own.",
		},
		[2]string{
			"Ihr Dienst ist geliefert. Die Zugangsdaten kamen in einer eigenen E-Mail.",
			"Alle {n} Dienste sind geliefert. Die Zugangsdaten kamen in eigenen E-Mails.",
		},
		[4]string{
			"{n} storitev je dostavljena. Podatke za dostop ste prejeli v ločenem sporočilu.",
			"{n} storitvi sta dostavljeni. Podatke za dostop ste prejeli v ločenih sporočilih.",
			"{n} storitve so dostavljene. Podatke za dostop ste prejeli v ločenih sporočilih.",
			"{n} storitev je dostavljenih. Podatke za dostop ste prejeli v ločenih sporočilih.",
		},
	},
	"partly.delivered": {
		[2]string{"{n} service is delivered.", "{n} services are delivered."},
		[2]string{"{n} Dienst ist geliefert.", "{n} Dienste sind geliefert."},
		[4]string{
			"{n} storitev je dostavljena.", "{n} storitvi sta dostavljeni.", "{n} storitve so dostavljene.",
			"{n} storitev je dostavljenih.",
		},
	},
	"partly.dropped": {
		[2]string{
			"{n} service was not delivered; what you paid for it is refunded.",
			"{n} services were not delivered; what you paid for them is refunded.",
		},
		[2]string{
			"{n} Dienst wurde nicht geliefert; was Sie dafür bezahlt haben, wird erstattet.",
			"{n} Dienste wurden nicht geliefert; was Sie dafür bezahlt haben, wird erstattet.",
		},
		[4]string{
			"{n} storitev ni bila dostavljena; kar ste zanjo plačali, vam vrnemo.",
			"{n} storitvi nista bili dostavljeni; kar ste zanju plačali, vam vrnemo.",
			"{n} storitve niso bile dostavljene; kar ste zanje plačali, vam vrnemo.",
			"{n} storitev ni bilo dostavljenih; kar ste zanje plačali, vam vrnemo.",
		},
	},
}
