package notice

import "github.com/platforma-cloud/orders/internal/brand"

// Texts lists every text by key and language, those that depend on a number in all their forms.
func Texts() map[Key]map[Language][]string {
	all := map[Key]map[Language][]string{}
	for k, p := range catalogue {
		all[k] = map[Language][]string{English: {p.en}, German: {p.de}, Slovenian: {p.sl}}
	}
	for k, c := range numbers {
		all[k] = map[Language][]string{English: c.en[:], German: c.de[:], Slovenian: c.sl[:]}
	}
	return all
}

// Texts that are told by number, and those that are not, have different names.
func Known(k Key) bool {
	_, one := catalogue[k]
	_, other := numbers[k]
	return one != other
}

// Moment is how a reader is told a time.
var Moment = Reader.moment

// Colours are the brand's, as they stand in HTML, and their contrast.
func (b Brand) Colours() (surface, text string, ratio float64) {
	s, t := b.colours()
	return s.String(), t.String(), brand.Contrast(s, t)
}

// Plain and Short clean what somebody typed.
var (
	Plain = plain
	Short = short
)

// NoAnswers lists the reasons why a webhook got no answer.
func NoAnswers() []NoAnswer {
	return []NoAnswer{NotInTime, NoName, NoRoute, NoTrust, NotAllowed}
}
