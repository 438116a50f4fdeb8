package money_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/money"
)

func TestFormatShowsAllDecimalsOfTheCurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount money.Cents
		cur    money.Currency
		want   string
	}{
		{20_10, "EUR", "20.10"},
		{0, "EUR", "0.00"},
		{5, "EUR", "0.05"},
		{-5, "EUR", "-0.05"},
		{-20_10, "EUR", "-20.10"},
		{2010, "JPY", "2010"},
		{0, "JPY", "0"},
		{-7, "JPY", "-7"},
		{1, "KWD", "0.001"},
		{1234567, "KWD", "1234.567"},
		{12_34, "XXX", "12.34"},
		{math.MaxInt64, "EUR", "92233720368547758.07"},
		{math.MinInt64, "EUR", "-92233720368547758.08"},
	} {
		if got := money.Format(c.amount, c.cur); got != c.want {
			t.Errorf("Format(%d, %s) = %q, want %q", c.amount, c.cur, got, c.want)
		}
	}
}

func TestParseDecimalReadsPlainAmounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		cur  money.Currency
		want money.Cents
	}{
		{"20.10", "EUR", 20_10},
		{"20.1", "EUR", 20_10},
		{"20", "EUR", 20_00},
		{"0", "EUR", 0},
		{"0.00", "EUR", 0},
		{"0.05", "EUR", 5},
		{"-0.05", "EUR", -5},
		{"2010", "JPY", 2010},
		{"0.001", "KWD", 1},
		{"1.5", "KWD", 1500},
		{"10000000000000.00", "EUR", money.Max},
		{"-10000000000000.00", "EUR", -money.Max},
		{"1000000000000000", "JPY", money.Max},
	} {
		got, err := money.ParseDecimal(c.text, c.cur)
		if err != nil || got != c.want {
			t.Errorf("ParseDecimal(%q, %s) = %d, %v, want %d", c.text, c.cur, got, err, c.want)
		}
	}
}

func TestParseDecimalRefusesEverythingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		cur  money.Currency
		want error
	}{
		{"", "EUR", money.ErrDecimal},
		{"-", "EUR", money.ErrDecimal},
		{".", "EUR", money.ErrDecimal},
		{".5", "EUR", money.ErrDecimal},
		{"5.", "EUR", money.ErrDecimal},
		{"+5", "EUR", money.ErrDecimal},
		{"--5", "EUR", money.ErrDecimal},
		{"-0", "EUR", money.ErrDecimal},
		{"-0.00", "EUR", money.ErrDecimal},
		{"1e2", "EUR", money.ErrDecimal},
		{"1E2", "EUR", money.ErrDecimal},
		{"0x10", "EUR", money.ErrDecimal},
		{"1_000", "EUR", money.ErrDecimal},
		{"1,00", "EUR", money.ErrDecimal},
		{"1.234.5", "EUR", money.ErrDecimal},
		{" 1", "EUR", money.ErrDecimal},
		{"1 ", "EUR", money.ErrDecimal},
		{"1\n", "EUR", money.ErrDecimal},
		{"01", "EUR", money.ErrDecimal},
		{"00.10", "EUR", money.ErrDecimal},
		{"20.100", "EUR", money.ErrDecimal},
		{"1.0", "JPY", money.ErrDecimal},
		{"1.-5", "EUR", money.ErrDecimal},
		{"NaN", "EUR", money.ErrDecimal},
		{"Inf", "EUR", money.ErrDecimal},
		{"١", "EUR", money.ErrDecimal},
		{"1", "XXX", money.ErrDecimal},
		{"1", "eur", money.ErrDecimal},
		{"1", "", money.ErrDecimal},
		{"10000000000000.01", "EUR", money.ErrRange},
		{"-10000000000000.01", "EUR", money.ErrRange},
		{"99999999999999.99", "EUR", money.ErrRange},
		{"92233720368547758.08", "EUR", money.ErrRange},
		{strings.Repeat("9", 400), "JPY", money.ErrRange},
	} {
		if got, err := money.ParseDecimal(c.text, c.cur); !errors.Is(err, c.want) || got != 0 {
			t.Errorf("ParseDecimal(%.30q, %s) = %d, %v, want %v", c.text, c.cur, got, err, c.want)
		}
	}
}

func FuzzParseDecimalAcceptsOnlyWhatFormatPrints(f *testing.F) {
	for _, s := range []string{"20.10", "-0.05", "0", "1e2", "10000000000000.00", "00", "-0", "1."} {
		f.Add(s, "EUR")
		f.Add(s, "JPY")
		f.Add(s, "KWD")
	}
	f.Fuzz(func(t *testing.T, s, code string) {
		cur, err := money.ParseCurrency(code)
		if err != nil {
			return
		}
		c, err := money.ParseDecimal(s, cur)
		if err != nil {
			return
		}
		if c > money.Max || c < -money.Max {
			t.Fatalf("ParseDecimal(%q, %s) = %d, beyond the bound", s, cur, c)
		}
		// A text may leave out only trailing zeros, and the point before them.
		printed := money.Format(c, cur)
		rest, ok := strings.CutPrefix(printed, s)
		if !ok || strings.Trim(rest, "0") != "" && strings.Trim(rest, "0") != "." {
			t.Fatalf("ParseDecimal(%q, %s) = %d, which prints as %s", s, cur, c, printed)
		}
		again, err := money.ParseDecimal(printed, cur)
		if err != nil || again != c {
			t.Fatalf("ParseDecimal(Format(%d)) = %d, %v", c, again, err)
		}
	})
}

func TestCurrenciesAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	want := map[money.Currency]int{
		"EUR": 2, "CHF": 2, "USD": 2, "GBP": 2, "HUF": 2, "JPY": 0, "KRW": 0, "ISK": 0, "CLP": 0, "KWD": 3,
		"BHD": 3, "TND": 3, "CZK": 2,
	}
	for cur, places := range want {
		got, err := money.ParseCurrency(string(cur))
		if err != nil || got.Decimals() != places {
			t.Errorf("%s: %v, %d decimals, want %d", cur, err, got.Decimals(), places)
		}
	}
	for _, s := range []string{"", "EU", "EURO", "eur", "XXX", "E R", "\x00UR"} {
		if _, err := money.ParseCurrency(s); err == nil {
			t.Errorf("ParseCurrency(%q) succeeded, want an error", s)
		}
	}
	for _, cur := range money.Currencies() {
		if len(cur) != 3 || strings.ToUpper(string(cur)) != string(cur) {
			t.Errorf("%q in the table is not an ISO 4217 code", cur)
		}
	}
}
