package notice

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ForOperators renders a mail to operators, or to admins.
func ForOperators(r Reader, n Operators) (Mail, error) {
	if !slices.Contains(Causes(), n.Cause) {
		return Mail{}, fmt.Errorf("there is no mail to operators about %q", n.Cause)
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
	if n.Cause == WebhookFailing {
		return p.withWebhooks(r, n).mail(r)
	}
	return p.mail(r)
}

// withWebhooks adds what to do and a line for each webhook.
func (p page) withWebhooks(r Reader, n Operators) page {
	l := r.Language
	p.Lead = append(p.Lead, l.Say("webhook-failing.todo"))
	p.Facts = nil // each line has a time of its own
	for _, w := range n.Webhooks {
		p.Lines = append(p.Lines, line{Name: plain(w.Host), Detail: []string{
			l.Say("webhook.since", "at", r.moment(w.Since)),
			l.Say("webhook.answer", "answer", w.answer(l)),
			l.Say("webhook.path", "id", plain(w.ID)),
		}})
	}
	if n.More > 0 {
		p.Lines = append(p.Lines, line{Name: l.Count("operators.more", n.More)})
	}
	p.Button.Label = l.Say("button.webhooks")
	return p
}

// answer returns the result of a webhook's last call.
func (w Webhook) answer(l Language) string {
	if w.Status != 0 {
		return "HTTP " + strconv.Itoa(w.Status)
	}
	return l.Say(Key("silent." + w.NoAnswer))
}

func capitalized(s string) string {
	first, rest, _ := strings.Cut(s, " ")
	runes := []rune(first)
	return strings.ToUpper(string(runes[:1])) + string(runes[1:]) + " " + rest
}
