package money

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// Rate says how many units of one currency a unit of another buys: 0.9321 for EUR/CHF means that
// €1.00 is CHF 0.9321. It is a decimal of at most 12 digits held exactly, comparable with ==. The
// zero value is no rate. Which currencies, since when and from which source stands beside it (D15).
type Rate struct {
	digits int64 // the number without its point; below 10^12
	places uint8 // digits after the point
}

// ErrRate is returned for a text that is not a rate.
var ErrRate = errors.New("not an exchange rate: a positive decimal below 1000000 of at most 12 digits, such as 0.9321")

// Bounds of a rate. Twelve digits is what rate sources publish at most; below a million keeps the
// price of an item in any currency inside an int64 (catalog.Priced.FirstPeriod relies on it).
const (
	rateDigits      = 12
	rateWholeDigits = 6
)

// ParseRate reads a positive plain decimal: digits, at most one point with digits on both sides,
// no sign, no exponent, no leading zeros, at most 12 digits in all and 6 before the point.
func ParseRate(s string) (Rate, error) {
	whole, fraction, pointed := strings.Cut(s, ".")
	switch {
	case !onlyDigits(whole), pointed && !onlyDigits(fraction):
		return Rate{}, ErrRate
	case len(whole) > 1 && whole[0] == '0':
		return Rate{}, ErrRate
	case len(whole) > rateWholeDigits, len(whole)+len(fraction) > rateDigits:
		return Rate{}, ErrRate
	}
	// Trailing zeros carry nothing; without them equal rates are equal values.
	fraction = strings.TrimRight(fraction, "0")
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || n == 0 {
		return Rate{}, ErrRate
	}
	return Rate{digits: n, places: uint8(len(fraction))}, nil
}

// IsZero reports whether there is no rate.
func (r Rate) IsZero() bool { return r.digits == 0 }

// String is the decimal that ParseRate reads, without trailing zeros; "" for no rate.
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

// Rat is the exact value.
func (r Rate) Rat() *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(r.digits), powerOfTen(int(r.places)))
}

// MarshalText is String, so that JSON carries a decimal string.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRate; an empty text is no rate.
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

// Exact converts minor units of one currency to minor units of another and rounds nothing:
// €1.00 at 162.55 is ¥162.55, though there is no such coin. The argument is left as it was.
func (r Rate) Exact(minor *big.Rat, from, to Currency) *big.Rat {
	out := new(big.Rat).Mul(minor, r.Rat())
	out.Mul(out, new(big.Rat).SetInt(powerOfTen(to.Decimals())))
	return out.Quo(out, new(big.Rat).SetInt(powerOfTen(from.Decimals())))
}

// Convert is Exact rounded half-even once (D11); ErrRange beyond ±Max. Do not convert a sum of
// rounded amounts: an item is computed exactly, converted and rounded once.
func (r Rate) Convert(c Cents, from, to Currency) (Cents, error) {
	return Round(r.Exact(new(big.Rat).SetInt64(int64(c)), from, to))
}

// Tolerance is what may lie between a total of ours and the same total by someone else: €1.00,
// converted with the rate stored on the order (D11). rate is nil where cur is EUR. A fraction of a
// minor unit is cut off, for amounts are whole: at 0.9399 a difference of 93 rappen is within one
// euro, one of 94 is not.
func Tolerance(cur Currency, rate *Rate) Cents {
	euro := big.NewRat(100, 1)
	if rate != nil {
		euro = rate.Exact(euro, EUR, cur)
	}
	// Below 10^6 euro rates and three decimals this stays under 10^9.
	return mustCents(new(big.Int).Quo(euro.Num(), euro.Denom()))
}

func powerOfTen(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}
