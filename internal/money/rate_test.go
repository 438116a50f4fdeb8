package money_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/platforma-cloud/orders/internal/money"
)

func mustParseRate(t *testing.T, s string) money.Rate {
	t.Helper()
	r, err := money.ParseRate(s)
	if err != nil {
		t.Fatalf("ParseRate(%q): %v", s, err)
	}
	return r
}

func TestParseRateReadsPositiveDecimalsAndDropsTrailingZeros(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0.9321": "0.9321", "1": "1", "1.0": "1", "391.550": "391.55", "0.000001": "0.000001",
		"999999.999999": "999999.999999",
		"0.00000000001": "0.00000000001", "100": "100", "162.55": "162.55",
	} {
		r := mustParseRate(t, in)
		if r.String() != want {
			t.Errorf("ParseRate(%q) prints as %q, want %q", in, r, want)
		}
		exact, _ := new(big.Rat).SetString(want)
		if r.Rat().Cmp(exact) != 0 {
			t.Errorf("ParseRate(%q).Rat() = %s", in, r.Rat())
		}
		if again := mustParseRate(t, r.String()); again != r {
			t.Errorf("ParseRate(%q) differs from the rate that it prints", in)
		}
	}
}

func TestParseRateRefusesEverythingElse(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "0", "0.0", "0.000", "-1", "+1", "1e3", ".5", "5.", "1,5", "01.5", " 1", "1 ", "1000000", "0.000000000001",
		"1234567890123", "1.2.3", "NaN", "1/3",
	} {
		if r, err := money.ParseRate(in); !errors.Is(err, money.ErrRate) || !r.IsZero() {
			t.Errorf("ParseRate(%q) = %s, %v, want ErrRate", in, r, err)
		}
	}
}

func TestConvertRoundsOnceInTheTargetsMinorUnits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount   money.Cents
		from, to money.Currency
		rate     string
		want     money.Cents
	}{
		{20_10, "EUR", "CHF", "0.9321", 18_74},   // 18.735 21
		{20_10, "EUR", "HUF", "391.55", 7870_16}, // 7870.155
		{20_10, "EUR", "JPY", "162.55", 3267},    // 3267.255
		{20_10, "EUR", "KWD", "0.3345", 6_723},   // 6.72345
		{3267, "JPY", "EUR", "0.006152", 20_10},  // 20.098 584
		{1_00, "EUR", "USD", "1.125", 1_12},      // 1.125, half to even
		{3_00, "EUR", "USD", "1.125", 3_38},      // 3.375, half to even
		{-1_00, "EUR", "USD", "1.125", -1_12},
		{0, "EUR", "USD", "1.125", 0},
		{1, "EUR", "JPY", "0.000001", 0},
		{1_00, "EUR", "EUR", "1", 1_00},
		{money.Max, "EUR", "CHF", "1", money.Max},
		{50, "EUR", "JPY", "1", 0},  // half a yen
		{150, "EUR", "JPY", "1", 2}, // one and a half
	} {
		got, err := mustParseRate(t, c.rate).Convert(c.amount, c.from, c.to)
		if err != nil || got != c.want {
			t.Errorf("%s: Convert(%d, %s, %s) = %d, %v, want %d", c.rate, c.amount, c.from, c.to, got, err, c.want)
		}
	}
}

func TestConvertRefusesAnAmountBeyondMax(t *testing.T) {
	t.Parallel()
	got, err := mustParseRate(t, "999999.999999").Convert(money.Max, "JPY", "KWD")
	if !errors.Is(err, money.ErrRange) || got != 0 {
		t.Errorf("Convert = %d, %v, want ErrRange", got, err)
	}
}

func TestExactDoesNotChangeItsArgument(t *testing.T) {
	t.Parallel()
	minor := big.NewRat(1, 3)
	got := mustParseRate(t, "1.5").Exact(minor, "EUR", "JPY")
	if got.Cmp(big.NewRat(1, 200)) != 0 || minor.Cmp(big.NewRat(1, 3)) != 0 {
		t.Errorf("Exact = %s, argument now %s", got, minor)
	}
}

func TestToleranceIsOneEuroAtTheStoredRate(t *testing.T) {
	t.Parallel()
	if got := money.Tolerance("EUR", nil); got != 1_00 {
		t.Errorf("Tolerance(EUR) = %d, want 100", got)
	}
	for _, c := range []struct {
		cur  money.Currency
		rate string
		want money.Cents
	}{
		{"CHF", "0.9321", 93},
		{"CHF", "0.9399", 93},
		{"HUF", "391.55", 391_55},
		{"JPY", "162.55", 162},
		{"KWD", "0.3345", 334},
		{"USD", "1.125", 1_12},
		{"KWD", "999999.999999", 999_999_999},
	} {
		r := mustParseRate(t, c.rate)
		if got := money.Tolerance(c.cur, &r); got != c.want {
			t.Errorf("Tolerance(%s, %s) = %d, want %d", c.cur, c.rate, got, c.want)
		}
	}
}

func TestRateIsADecimalStringInJSON(t *testing.T) {
	t.Parallel()
	type fx struct {
		Rate money.Rate `json:"rate"`
	}
	b, err := json.Marshal(fx{mustParseRate(t, "0.9321")})
	if err != nil || string(b) != `{"rate":"0.9321"}` {
		t.Fatalf("Marshal = %s, %v", b, err)
	}
	var decoded fx
	if err := json.Unmarshal(b, &decoded); err != nil || decoded.Rate != mustParseRate(t, "0.9321") {
		t.Errorf("Unmarshal = %v, %v", decoded, err)
	}
	if err := json.Unmarshal([]byte(`{"rate":""}`), &decoded); err != nil || !decoded.Rate.IsZero() {
		t.Errorf("Unmarshal of no rate = %v, %v", decoded, err)
	}
	if err := json.Unmarshal([]byte(`{"rate":"-1"}`), &decoded); err == nil {
		t.Error("Unmarshal accepted a negative rate")
	}
}

func TestConvertReturnsTheNearestMinorUnit(t *testing.T) {
	t.Parallel()
	currencies := rapid.SampledFrom([]money.Currency{"EUR", "CHF", "JPY", "KWD", "HUF"})
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.Int64Range(1, 999_999_999_999).Draw(t, "digits")
		text := new(big.Rat).SetFrac64(digits, 1_000_000).FloatString(6)
		r, err := money.ParseRate(text)
		if err != nil {
			t.Fatalf("ParseRate(%s): %v", text, err)
		}
		from, to := currencies.Draw(t, "from"), currencies.Draw(t, "to")
		amount := money.Cents(rapid.Int64Range(-1_000_000, 1_000_000).Draw(t, "amount"))
		got, err := r.Convert(amount, from, to)
		if err != nil {
			t.Fatal(err)
		}
		// |got × 10^from × 10^6 − amount × digits × 10^to| ≤ half of 10^from × 10^6, all in integers.
		scale := map[int]int64{0: 1, 2: 100, 3: 1000}
		unit := big.NewInt(scale[from.Decimals()] * 1_000_000)
		have := new(big.Int).Mul(big.NewInt(int64(got)), unit)
		want := new(big.Int).Mul(big.NewInt(int64(amount)), big.NewInt(digits))
		want.Mul(want, big.NewInt(scale[to.Decimals()]))
		distance := have.Sub(have, want)
		distance.Abs(distance).Lsh(distance, 1)
		if cmp := distance.Cmp(unit); cmp > 0 || cmp == 0 && got%2 != 0 {
			t.Fatalf("%s: Convert(%d, %s, %s) = %d", text, amount, from, to, got)
		}
	})
}
