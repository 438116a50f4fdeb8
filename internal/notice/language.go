package notice

import (
	"slices"
	"strconv"
	"strings"
)

// Language is the language of a text, by its ISO 639-1 code.
type Language string

// The languages.
const (
	English   Language = "en"
	German    Language = "de"
	Slovenian Language = "sl"
)

// Languages lists the languages in which every text exists. The first is used in place of any other.
func Languages() []Language { return []Language{English, German, Slovenian} }

// LanguageOf returns the language of a code. For a code without texts it returns English, and ok is false.
func LanguageOf(code string) (l Language, ok bool) {
	if slices.Contains(Languages(), Language(code)) {
		return Language(code), true
	}
	return English, false
}

// phrase is one text in every language. A word in braces is a placeholder.
type phrase struct{ en, de, sl string }

// counted is a text that depends on a number, {n}. It has the plural forms of CLDR: English and German have one
// and other; Slovenian has one (1, 101), two (2, 102), few (3, 4, 103) and other.
type counted struct {
	en, de [2]string
	sl     [4]string
}

func (p phrase) in(l Language) string {
	switch l {
	case German:
		return p.de
	case Slovenian:
		return p.sl
	default:
		return p.en
	}
}

func (c counted) in(l Language, n int) string {
	if l == Slovenian {
		return c.sl[slovenianForm(n)]
	}
	form := 1
	if n == 1 {
		form = 0
	}
	if l == German {
		return c.de[form]
	}
	return c.en[form]
}

// slovenianForm returns the index of the plural form of a number: 1 storitev, 2 storitvi, 3 storitve, 5 storitev.
func slovenianForm(n int) int {
	switch n % 100 {
	case 1:
		return 0
	case 2:
		return 1
	case 3, 4:
		return 2
	default:
		return 3
	}
}

// Say returns a text of the catalogue. words fill its placeholders: name, value, name, value.
func (l Language) Say(k Key, words ...string) string { return fill(catalogue[k].in(l), words) }

// Count returns a text of the catalogue for a number of things.
func (l Language) Count(k Key, n int, words ...string) string {
	return fill(numbers[k].in(l, n), append(slices.Clone(words), "n", strconv.Itoa(n)))
}

// fill replaces the placeholders of a text. A placeholder inside a value is left as it is.
func fill(text string, words []string) string {
	pairs := make([]string, 0, len(words))
	for i := 0; i+1 < len(words); i += 2 {
		pairs = append(pairs, "{"+words[i]+"}", words[i+1])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
