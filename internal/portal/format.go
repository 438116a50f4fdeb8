package portal

import (
	"strconv"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/money"
)

// symbols are written before an amount. A currency without one is written as its code and a no-break space.
var symbols = map[money.Currency]string{"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}

// amount formats money: "€1,234.50", "CHF 20.10", "−€5.00".
func amount(c money.Cents, cur money.Currency) string {
	digits := money.Format(c, cur)
	sign := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "−", rest
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	whole = grouped(whole)
	if fraction != "" {
		whole += "." + fraction
	}
	if s, ok := symbols[cur]; ok {
		return sign + s + whole
	}
	return sign + string(cur) + "\u00a0" + whole
}

// grouped separates groups of three digits by commas.
func grouped(digits string) string {
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(strconv.Itoa(n)) + " " + many
}

// ago returns how long ago a time was, in its largest unit. Pages show the exact time with it.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in " + span(-d)
	case d < time.Minute:
		return "just now"
	}
	return span(d) + " ago"
}

// span formats a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return count(int(d.Seconds()), "second", "seconds")
	case d < time.Hour:
		return count(int(d.Minutes()), "minute", "minutes")
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour", "hours")
	}
	return count(int(d.Hours()/24), "day", "days")
}

// zone returns the tenant's time zone, UTC when it is unknown.
func (v *session) zone() *time.Location {
	if z, err := time.LoadLocation(v.brand.TimeZone); err == nil {
		return z
	}
	return time.UTC
}

// exact formats a time to the second in the tenant's time zone.
func (v *session) exact(t time.Time) string { return t.In(v.zone()).Format("2 Jan 2006, 15:04:05 MST") }

func (v *session) day(t time.Time) string { return t.In(v.zone()).Format("2 January 2006") }

func (v *session) clock(t time.Time) string { return t.In(v.zone()).Format("15:04:05") }

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// short returns the end of an id, where UUIDv7 differ. Pages keep the whole id in a title or a copy button.
func short(id string) string {
	if len(id) < 8 {
		return id
	}
	return "…" + id[len(id)-8:]
}

// words turns a name of the API into text: "waiting_capacity" → "Waiting capacity".
func words(name string) string {
	s := strings.NewReplacer("_", " ", "-", " ").Replace(name)
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
