package portal

import (
	"testing"
	"time"
)

func TestAmountsHaveSymbolGroupsAndSign(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"€1,234.50": amount(1_234_50, "EUR"), "€0.05": amount(5, "EUR"), "−€5.00": amount(-5_00, "EUR"),
		"CHF\u00a020.10": amount(20_10, "CHF"), "¥2,010": amount(2010, "JPY"), "€10,000,000.00": amount(10_000_000_00, "EUR"),
		"KWD\u00a01.500": amount(1500, "KWD"),
	}
	for text, got := range want {
		if got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

func TestTimesAreShownInTheirLargestUnit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 119 * time.Minute: "1 hour ago",
		47 * time.Hour: "47 hours ago", 72 * time.Hour: "3 days ago", -90 * time.Second: "in 1 minute",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
