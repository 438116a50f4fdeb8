// Package money holds amounts in whole minor units, currencies, exchange rates, the one rounding rule, and the
// allocation of a sum to the cent (D11). It neither uses nor accepts floating-point numbers. It must not know
// what is sold, by whom or to whom.
package money

import (
	"errors"
	"math"
	"math/big"
)

// Cents is an amount in minor units of a currency that is kept separately: 2010 is €20.10 in EUR and ¥2010 in
// JPY. The zero value is an amount of nothing.
type Cents int64

// Max is the largest magnitude of an amount that is parsed or converted: 10^15 minor units. No order comes near
// it, and it leaves room in an int64 for the first period of a hundred such amounts, or for one of them times
// 12 × 80.
const Max Cents = 1_000_000_000_000_000

// ErrRange is returned for an amount beyond ±Max.
var ErrRange = errors.New("amount out of range")

// annualDiscount is the discount, in percent, on a year that is paid at once (D11).
const annualDiscount = 20

// Annual returns the exact price of twelve months less the annual discount: Annual(20_10) is 19296 cents, which
// is €192.96. The caller converts it where needed, and rounds once after that (D11).
func Annual(monthly Cents) *big.Rat {
	exact := new(big.Rat).SetInt64(int64(monthly))
	return exact.Mul(exact, big.NewRat(12*(100-annualDiscount), 100))
}

// Within reports whether a and b differ by at most tolerance. With a tolerance of 1.00, a difference of 1.00 is
// within it and 1.01 is not (D11). Nothing is within a negative tolerance.
func Within(a, b, tolerance Cents) bool {
	if tolerance < 0 {
		return false
	}
	low, high := min(a, b), max(a, b)
	// The difference of two int64 always fits a uint64; the subtraction wraps to the right value.
	return uint64(high)-uint64(low) <= uint64(tolerance)
}

// RoundHalfEven returns the integer that is nearest to exact, and the even one if two are equally near. The
// module rounds in no other way (D11). 0.5 → 0, 1.5 → 2, 2.5 → 2, -0.5 → 0, -1.5 → -2.
func RoundHalfEven(exact *big.Rat) *big.Int {
	// In Euclidean division the remainder is never negative, so one comparison is right for both signs.
	quotient, remainder := new(big.Int).DivMod(exact.Num(), exact.Denom(), new(big.Int))
	twice := remainder.Lsh(remainder, 1)
	cmp := twice.Cmp(exact.Denom())
	if cmp > 0 || (cmp == 0 && quotient.Bit(0) == 1) {
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient
}

// Round rounds half to even and returns the amount, or ErrRange if it is beyond ±Max.
func Round(exact *big.Rat) (Cents, error) {
	return toCents(RoundHalfEven(exact))
}

// toCents converts an integer to an amount within ±Max.
func toCents(n *big.Int) (Cents, error) {
	if !n.IsInt64() || n.Int64() > int64(Max) || n.Int64() < -int64(Max) {
		return 0, ErrRange
	}
	return Cents(n.Int64()), nil
}

// mustCents converts an integer that the caller knows to fit an int64. It panics if it does not.
func mustCents(n *big.Int) Cents {
	if !n.IsInt64() {
		panic("money: " + n.String() + " does not fit an amount")
	}
	return Cents(n.Int64())
}

// magnitude returns |c|, also for the smallest int64.
func magnitude(c Cents) uint64 {
	if c >= 0 {
		return uint64(c)
	}
	if c == math.MinInt64 {
		return 1 << 63
	}
	return uint64(-c)
}
