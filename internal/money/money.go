// Package money holds amounts in whole minor units, their currencies, exchange rates, the one
// rounding rule and the splitting of a sum to the cent (D11). There is no float in it and no float
// goes in. It must not know what is sold, by whom or to whom.
package money

import (
	"errors"
	"math"
	"math/big"
)

// Cents is an amount in minor units of a currency that stands beside it: 2010 is €20.10 in EUR and
// ¥2010 in JPY. The zero value is nothing owed.
type Cents int64

// Max is the largest magnitude of an amount that enters from outside or leaves a conversion: 10^15
// minor units. It is our bound, so wide that no order reaches it and so narrow that the first
// period of a hundred such amounts, or the product of one with 12 × 80, still fits an int64.
const Max Cents = 1_000_000_000_000_000

// ErrRange is returned where an amount would leave ±Max.
var ErrRange = errors.New("amount out of range")

// annualDiscount is what a year that is paid at once costs less than twelve months, in percent (D11).
const annualDiscount = 20

// Annual is twelve months at monthly less the annual discount, exactly: Annual(20_10) is 19296 cents,
// i.e. €192.96. The caller converts it, if it has to, and rounds once after that (D11).
func Annual(monthly Cents) *big.Rat {
	exact := new(big.Rat).SetInt64(int64(monthly))
	return exact.Mul(exact, big.NewRat(12*(100-annualDiscount), 100))
}

// Within reports whether a and b differ by no more than tolerance; the bound itself is inside (D11:
// exactly 1.00 is accepted, 1.01 is not). A negative tolerance accepts nothing.
func Within(a, b, tolerance Cents) bool {
	if tolerance < 0 {
		return false
	}
	low, high := min(a, b), max(a, b)
	// The difference of two int64 always fits the unsigned one, and wraps to the right value.
	return uint64(high)-uint64(low) <= uint64(tolerance)
}

// RoundHalfEven is the integer nearest to exact, and of two equally near the even one: the only
// rounding there is in the module (D11). 0.5 → 0, 1.5 → 2, 2.5 → 2, -0.5 → 0, -1.5 → -2.
func RoundHalfEven(exact *big.Rat) *big.Int {
	// Euclidean division: the remainder is never negative, so one comparison serves both signs.
	quotient, remainder := new(big.Int).DivMod(exact.Num(), exact.Denom(), new(big.Int))
	twice := remainder.Lsh(remainder, 1)
	side := twice.Cmp(exact.Denom())
	if side > 0 || (side == 0 && quotient.Bit(0) == 1) {
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient
}

// Round is RoundHalfEven as an amount; ErrRange where it leaves ±Max.
func Round(exact *big.Rat) (Cents, error) {
	return toCents(RoundHalfEven(exact))
}

// toCents narrows an exact result to an amount within ±Max.
func toCents(n *big.Int) (Cents, error) {
	if !n.IsInt64() || n.Int64() > int64(Max) || n.Int64() < -int64(Max) {
		return 0, ErrRange
	}
	return Cents(n.Int64()), nil
}

// mustCents narrows where the caller's bounds keep the result inside an int64.
func mustCents(n *big.Int) Cents {
	if !n.IsInt64() {
		panic("money: " + n.String() + " does not fit an amount")
	}
	return Cents(n.Int64())
}

// magnitude is |c|, which fits even for the smallest int64.
func magnitude(c Cents) uint64 {
	if c >= 0 {
		return uint64(c)
	}
	if c == math.MinInt64 {
		return 1 << 63
	}
	return uint64(-c)
}
