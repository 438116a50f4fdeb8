package money

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// Rate is an exchange rate: how many units of one currency one unit of another buys. 0.9321 for EUR/CHF means
// that €1.00 is CHF 0.9321. It is an exact decimal of at most 12 digits and comparable with ==. The zero value
// means that there is no rate. The currencies, the date and the source are kept separately (D15).
type Rate struct {
	digits int64 // the number without its decimal point; below 10^12
	places uint8 // number of digits after the decimal point
}

// ErrRate is returned for a text that is not a rate.
var ErrRate = errors.New("not an exchange rate: a positive decimal below 1000000 of at most 12 digits, such as 0.9321")

// The bounds of a rate. No source of rates publishes more than twelve digits. A rate below a million keeps the
// price of an item within an int64 in every currency; catalog.Priced.FirstPeriod relies on it.
const (
	rateDigits      = 12
	rateWholeDigits = 6
)

// ParseRate parses a positive plain decimal: digits, and at most one point with digits on both sides. It has no
// sign, no exponent and no leading zeros, at most 12 digits in all and at most 6 before the point.
func ParseRate(s string) (Rate, error) {
	whole, fraction, hasPoint := strings.Cut(s, ".")
	switch {
	case !onlyDigits(whole), hasPoint && !onlyDigits(fraction):
		return Rate{}, ErrRate
	case len(whole) > 1 && whole[0] == '0':
		return Rate{}, ErrRate
	case len(whole) > rateWholeDigits, len(whole)+len(fraction) > rateDigits:
		return Rate{}, ErrRate
	}
	// Without trailing zeros, equal rates are equal values.
	fraction = strings.TrimRight(fraction, "0")
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || n == 0 {
		return Rate{}, ErrRate
	}
	return Rate{digits: n, places: uint8(len(fraction))}, nil
}

// IsZero reports whether r is the zero value, which means that there is no rate.
func (r Rate) IsZero() bool { return r.digits == 0 }

// String returns the decimal without trailing zeros, as ParseRate accepts it, or "" if there is no rate.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	s := strconv.FormatInt(r.digits, 10)
	if r.places == 0 {
		return s
	}
	if missing := int(r.places) + 1 - len(s); missing > 0 {
		s = strings.Repeat("0", missing) + s
	}
	point := len(s) - int(r.places)
	return s[:point] + "." + s[point:]
}

// Rat returns the exact value.
func (r Rate) Rat() *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(r.digits), powerOfTen(int(r.places)))
}

// MarshalText returns what String does, so that JSON carries a decimal string.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText parses a rate as ParseRate does. An empty text means that there is no rate.
func (r *Rate) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*r = Rate{}
		return nil
	}
	v, err := ParseRate(string(b))
	if err != nil {
		return err
	}
	*r = v
	return nil
}

// Exact converts minor units of one currency to minor units of another without rounding: €1.00 at 162.55 is
// ¥162.55, although the yen has no decimals. It does not change its argument.
func (r Rate) Exact(minor *big.Rat, from, to Currency) *big.Rat {
	exact := new(big.Rat).Mul(minor, r.Rat())
	exact.Mul(exact, new(big.Rat).SetInt(powerOfTen(to.Decimals())))
	return exact.Quo(exact, new(big.Rat).SetInt(powerOfTen(from.Decimals())))
}

// Convert converts an amount and rounds once, half to even (D11). The error is ErrRange beyond ±Max. Do not
// convert a sum of rounded amounts: an item's price is computed exactly, converted, and rounded once.
func (r Rate) Convert(c Cents, from, to Currency) (Cents, error) {
	return Round(r.Exact(new(big.Rat).SetInt64(int64(c)), from, to))
}

// Tolerance returns how far an amount that a caller names may be from our total: €1.00, converted with the
// order's stored rate (D11). rate is nil if cur is EUR. A fraction of a minor unit is cut off, because amounts
// are whole: at 0.9399 a difference of 93 rappen is within one euro, and one of 94 is not.
func Tolerance(cur Currency, rate *Rate) Cents {
	euro := big.NewRat(100, 1)
	if rate != nil {
		euro = rate.Exact(euro, EUR, cur)
	}
	// A rate is below 10^6 and a currency has at most three decimals, so the result is below 10^9.
	return mustCents(new(big.Int).Quo(euro.Num(), euro.Denom()))
}

func powerOfTen(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}
