package notice

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/platforma-cloud/orders/internal/money"
)

// space is a no-break space. It keeps a number and its currency on one line.
const space = "\u00a0"

// symbols are the currencies whose symbol every reader knows. Others are written by their code.
var symbols = map[money.Currency]string{"EUR": "€", "USD": "$", "GBP": "£"}

// Money writes an amount as the language does: €1,234.50, or 1.234,50 €.
func (l Language) Money(c money.Cents, cur money.Currency) string {
	thousands, point := ".", ","
	if l == English {
		thousands, point = ",", "."
	}
	digits, negative := strings.CutPrefix(money.Format(c, cur), "-")
	whole, fraction, cents := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + thousands + whole[i:]
	}
	if cents {
		whole += point + fraction
	}
	sign := ""
	if negative {
		sign = "\u2212"
	}
	symbol, known := symbols[cur]
	switch {
	case l != English && known:
		return sign + whole + space + symbol
	case l != English:
		return sign + whole + space + string(cur)
	case known:
		return sign + symbol + whole
	default:
		return sign + string(cur) + space + whole
	}
}

var months = map[Language][12]string{
	English: {
		"January", "February", "March", "April", "May", "June", "July", "August", "September",
		"October", "November", "December",
	},
	German: {
		"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
		"Dezember",
	},
	Slovenian: { // in the genitive, as in a date
		"januarja", "februarja", "marca", "aprila", "maja", "junija", "julija", "avgusta", "septembra", "oktobra",
		"novembra", "decembra",
	},
}

// zones are the time zones for which a language has its own name.
var zones = map[Language]map[string]string{German: {"CET": "MEZ", "CEST": "MESZ"}}

// moment writes a time as the language does, in the reader's time zone and with its name.
func (r Reader) moment(t time.Time) string {
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	t = t.In(zone)
	name, _ := t.Zone()
	if strings.ContainsAny(name, "+-0123456789") { // a zone without an abbreviation
		name = "UTC" + t.Format("-07:00")
	}
	if own, ok := zones[r.Language][name]; ok {
		name = own
	}
	month := months[r.Language][t.Month()-1]
	switch r.Language {
	case German:
		return fmt.Sprintf("%d. %s %d, %s Uhr (%s)", t.Day(), month, t.Year(), t.Format("15:04"), name)
	case Slovenian:
		return fmt.Sprintf("%d. %s %d ob %s (%s)", t.Day(), month, t.Year(), t.Format("15.04"), name)
	default:
		return fmt.Sprintf("%d %s %d, %s (%s)", t.Day(), month, t.Year(), t.Format("15:04"), name)
	}
}

// plain removes from a user's text what could break a line, or reverse or hide other text, so that whatever was
// typed can be mailed.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r), r == unicode.ReplacementChar:
			return -1
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "=?", "= ?")), " ")
}

// short cuts a text to a number of characters.
func short(s string, most int) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return strings.TrimRight(string(runes[:most-1]), " ") + "…"
}
