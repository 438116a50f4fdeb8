package notice

import (
	"fmt"
	"slices"
	"strings"
)

// ForOperators renders news for operators.
func ForOperators(r Reader, n Operators) (Mail, error) {
	if !slices.Contains(Causes(), n.Cause) {
		return Mail{}, fmt.Errorf("no mail tells operators of %q", n.Cause)
	}
	l, brand := r.Language, plain(r.Brand.Name)
	what := l.Count(Key(n.Cause+".what"), n.Count)
	p := page{
		Subject: l.Say("operators.subject", "brand", brand, "what", what),
		Heading: capitalized(what),
		Lead:    []string{l.Say(Key(n.Cause + ".text"))},
		Facts:   []fact{{l.Say("label.since"), r.moment(n.Since)}},
		Button:  fact{l.Say("button.desk"), n.Link},
		Footer:  l.Say("operators.footer"),
	}
	if orders := strings.Join(n.Orders, ", "); orders != "" {
		if n.More > 0 {
			orders += " " + l.Count("operators.more", n.More)
		}
		p.Facts = append(p.Facts, fact{l.Say("label.orders"), plain(orders)})
	}
	return p.mail(r)
}

func capitalized(s string) string {
	first, rest, _ := strings.Cut(s, " ")
	runes := []rune(first)
	return strings.ToUpper(string(runes[:1])) + string(runes[1:]) + " " + rest
}
