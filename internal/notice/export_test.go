package notice

import "github.com/platforma-cloud/orders/internal/brand"

// Texts lists every text by key and language, with all plural forms.
func Texts() map[Key]map[Language][]string {
	texts := map[Key]map[Language][]string{}
	for k, p := range catalogue {
		texts[k] = map[Language][]string{English: {p.en}, German: {p.de}, Slovenian: {p.sl}}
	}
	for k, c := range numbers {
		texts[k] = map[Language][]string{English: c.en[:], German: c.de[:], Slovenian: c.sl[:]}
	}
	return texts
}

// Known reports whether a key names exactly one text, either a plain one or one that depends on a number.
func Known(k Key) bool {
	_, plain := catalogue[k]
	_, counted := numbers[k]
	return plain != counted
}

// Moment exposes moment.
var Moment = Reader.moment

// Colours returns the brand's colours as the HTML has them, and their contrast.
func (b Brand) Colours() (surface, text string, ratio float64) {
	s, t := b.colours()
	return s.String(), t.String(), brand.Contrast(s, t)
}

// Plain and Short expose plain and short.
var (
	Plain = plain
	Short = short
)

// NoAnswers lists the reasons why a webhook got no answer.
func NoAnswers() []NoAnswer {
	return []NoAnswer{NotInTime, NoName, NoRoute, NoTrust, NotAllowed}
}
