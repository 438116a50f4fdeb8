package notice

// deliveryTexts are the texts of a delivery of credentials: beside the encrypted part, and inside it above the
// values. The lines of the instructions are short because not every mail program wraps plain text.
var deliveryTexts = map[Key]phrase{
	"delivery.subject": {"Your service is ready", "Ihr Dienst ist bereit", "Vaša storitev je pripravljena"},
	"delivery.which": {
		"Your service is ready: {title} ({order}, item {line})",
		"Ihr Dienst ist bereit: {title} ({order}, Posten {line})",
		"Vaša storitev je pripravljena: {title} ({order}, postavka {line})",
	},
	"delivery.inside": {
		"Your service is ready: {service}, {order}, item {line}",
		"Ihr Dienst ist bereit: {service}, {order}, Posten {line}",
		"Vaša storitev je pripravljena: {service}, {order}, postavka {line}",
	},
	"delivery.service":  {"Service", "Dienst", "Storitev"},
	"delivery.from":     {"From", "Von", "Od"},
	"delivery.access":   {"Your access:", "Ihre Zugangsdaten:", "Vaši podatki za dostop:"},
	"delivery.document": {"The same as a JSON document:", "Dasselbe als JSON-Dokument:", "Isto kot dokument JSON:"},
	"delivery.keep": {
		"Anyone who has these values has your service: keep this mail encrypted.",
		"Wer diese Werte hat, hat Ihren Dienst: Bewahren Sie diese E-Mail verschlüsselt auf.",
		"Kdor ima te vrednosti, ima vašo storitev: sporočilo hranite šifrirano.",
	},
	"delivery.instructions": {
		`How to reach it is in the attached file {file}. The file is
encrypted. Its passphrase is not in any mail: the portal shows it to you,
once.

1. Sign in to the portal, open the order and choose "Show passphrase".
   Keep it: it is shown one time only.
2. Save the attached file.
3. Open it with any OpenPGP program, such as Kleopatra or GPG Suite, or with

       gpg --decrypt {file}

If the passphrase is lost, ask for a new delivery in the portal. To get later
deliveries without a passphrase, upload your OpenPGP public key there.`,
		`Wie Sie ihn erreichen, steht in der angehängten Datei {file}.
Die Datei ist verschlüsselt. Ihre Passphrase steht in keiner E-Mail: Das
Portal zeigt sie Ihnen, ein einziges Mal.

1. Melden Sie sich im Portal an, öffnen Sie die Bestellung und wählen Sie
   „Show passphrase“. Bewahren Sie die Passphrase auf.
2. Speichern Sie die angehängte Datei.
3. Öffnen Sie sie mit einem OpenPGP-Programm wie Kleopatra oder GPG Suite
   oder mit

       gpg --decrypt {file}

Ist die Passphrase verloren, fordern Sie im Portal eine neue Zustellung an.
Hinterlegen Sie dort Ihren öffentlichen OpenPGP-Schlüssel, dann kommen
spätere Zustellungen ohne Passphrase aus.`,
		`Kako do nje dostopate, je v priloženi datoteki {file}.
Datoteka je šifrirana. Njenega gesla ni v nobenem sporočilu: pokaže vam ga
portal, samo enkrat.

1. Prijavite se v portal, odprite naročilo in izberite »Show passphrase«.
   Geslo si shranite.
2. Shranite priloženo datoteko.
3. Odprite jo s programom za OpenPGP, na primer Kleopatra ali GPG Suite,
   ali z ukazom

       gpg --decrypt {file}

Če geslo izgubite, v portalu zahtevajte novo dostavo. Če tam naložite svoj
javni ključ OpenPGP, bodo naslednje dostave brez gesla.`,
	},
	"delivery.portal": {"Portal", "Portal", "Portal"},
}
