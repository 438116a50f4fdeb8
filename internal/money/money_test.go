package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/platforma-cloud/orders/internal/money"
)

func TestAnnualIsTwelveMonthsLessTwentyPercentRoundedHalfEvenOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ monthly, want money.Cents }{
		{0, 0},
		{10_00, 96_00},
		{20_10, 192_96},
		{56_60, 543_36},
		{1, 10},   // 9.6
		{2, 19},   // 19.2
		{3, 29},   // 28.8
		{4, 38},   // 38.4
		{5, 48},   // exact
		{-1, -10}, // -9.6
		{money.Max, 9_600_000_000_000_000},
	} {
		if got := money.RoundHalfEven(money.Annual(c.monthly)).Int64(); got != int64(c.want) {
			t.Errorf("Annual(%d) rounds to %d, want %d", c.monthly, got, c.want)
		}
	}
}

func TestAnnualBeyondAnInt64DoesNotWrap(t *testing.T) {
	t.Parallel()
	want, _ := new(big.Rat).SetString("442721857769029238736/5") // (2^63 - 1) × 12 × 80 / 100
	if got := money.Annual(math.MaxInt64); got.Cmp(want) != 0 {
		t.Errorf("Annual(MaxInt64) = %s, want %s", got, want)
	}
}

func TestRoundHalfEvenGoesToTheEvenNeighbour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		exact string
		want  int64
	}{
		{"0", 0},
		{"1/2", 0},
		{"3/2", 2},
		{"5/2", 2},
		{"7/2", 4},
		{"-1/2", 0},
		{"-3/2", -2},
		{"-5/2", -2},
		{"49/100", 0},
		{"51/100", 1},
		{"-51/100", -1},
		{"149/100", 1},
		{"2/3", 1},
		{"-2/3", -1},
		{"1/3", 0},
		{"7", 7},
		{"-7", -7},
		{"250000000000000001/100000000000000000", 3},
		{"249999999999999999/100000000000000000", 2},
	} {
		exact, ok := new(big.Rat).SetString(c.exact)
		if !ok {
			t.Fatalf("bad fraction %s", c.exact)
		}
		if got := money.RoundHalfEven(exact); got.Cmp(big.NewInt(c.want)) != 0 {
			t.Errorf("RoundHalfEven(%s) = %s, want %d", c.exact, got, c.want)
		}
	}
}

func TestRoundHalfEvenIsNeverOffByMoreThanAHalf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		exact := big.NewRat(rapid.Int64().Draw(t, "num"), rapid.Int64Range(1, 1_000_000).Draw(t, "den"))
		before := new(big.Rat).Set(exact)
		got := money.RoundHalfEven(exact)
		if exact.Cmp(before) != 0 {
			t.Fatalf("the argument became %s", exact)
		}
		distance := new(big.Rat).Sub(new(big.Rat).SetInt(got), exact)
		switch cmp := distance.Abs(distance).Cmp(big.NewRat(1, 2)); {
		case cmp > 0:
			t.Fatalf("RoundHalfEven(%s) = %s", exact, got)
		case cmp == 0 && got.Bit(0) == 1:
			t.Fatalf("RoundHalfEven(%s) = %s, which is odd", exact, got)
		}
	})
}

func TestRoundRefusesAnAmountBeyondMax(t *testing.T) {
	t.Parallel()
	inside := new(big.Rat).SetInt64(int64(money.Max))
	if got, err := money.Round(inside); err != nil || got != money.Max {
		t.Errorf("Round(Max) = %d, %v", got, err)
	}
	for _, exact := range []*big.Rat{
		new(big.Rat).SetInt64(int64(money.Max) + 1),
		new(big.Rat).SetInt64(-int64(money.Max) - 1),
		new(big.Rat).SetFrac(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(1)), // 2^64, whose low 64 bits are 0
	} {
		if got, err := money.Round(exact); !errors.Is(err, money.ErrRange) {
			t.Errorf("Round(%s) = %d, %v, want ErrRange", exact, got, err)
		}
	}
}

func TestWithinIncludesTheToleranceItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b, tolerance money.Cents
		want            bool
	}{
		{100_00, 100_99, 1_00, true},
		{100_00, 101_00, 1_00, true},
		{100_00, 101_01, 1_00, false},
		{101_00, 100_00, 1_00, true},
		{101_01, 100_00, 1_00, false},
		{5, 5, 0, true},
		{5, 6, 0, false},
		{5, 5, -1, false},
		{-50, 50, 1_00, true},
		{-51, 50, 1_00, false},
		{math.MinInt64, math.MaxInt64, math.MaxInt64, false},
		{math.MinInt64, math.MinInt64, 0, true},
		{math.MinInt64, -1, math.MaxInt64, true},
		{math.MinInt64, 0, math.MaxInt64, false},
	} {
		if got := money.Within(c.a, c.b, c.tolerance); got != c.want {
			t.Errorf("Within(%d, %d, %d) = %t, want %t", c.a, c.b, c.tolerance, got, c.want)
		}
	}
}
