package money

import (
	"errors"
	"strconv"
	"strings"
)

// ErrDecimal is returned for a text that is not an amount of the currency.
var ErrDecimal = errors.New("not a decimal amount of the currency")

// maxDigits is the number of decimal digits of Max. A longer number is out of range.
const maxDigits = 16

// Format returns an amount with all the decimals of its currency and without grouping: "20.10", "-0.05", "2010"
// for JPY. The API carries this form; a page that groups digits does so itself.
func Format(c Cents, cur Currency) string {
	digits := strconv.FormatUint(magnitude(c), 10)
	places := cur.Decimals()
	if places > 0 {
		if missing := places + 1 - len(digits); missing > 0 {
			digits = strings.Repeat("0", missing) + digits
		}
		digits = digits[:len(digits)-places] + "." + digits[len(digits)-places:]
	}
	if c < 0 {
		return "-" + digits
	}
	return digits
}

// ParseDecimal parses what Format returns, and shorter fractions: "20.1" is 20_10 in EUR. Anything else is
// ErrDecimal: a sign other than one leading minus, an exponent, blanks, grouping, leading zeros, a point
// without a digit on both sides, more decimals than the currency has (even zeros), minus zero, or a currency
// outside the table. An amount beyond ±Max is ErrRange.
func ParseDecimal(s string, cur Currency) (Cents, error) {
	if !cur.Known() {
		return 0, ErrDecimal
	}
	unsigned, negative := strings.CutPrefix(s, "-")
	whole, fraction, hasPoint := strings.Cut(unsigned, ".")
	switch {
	case !onlyDigits(whole), hasPoint && !onlyDigits(fraction):
		return 0, ErrDecimal
	case len(whole) > 1 && whole[0] == '0', len(fraction) > cur.Decimals():
		return 0, ErrDecimal
	}
	minor := whole + fraction + strings.Repeat("0", cur.Decimals()-len(fraction))
	minor = strings.TrimLeft(minor, "0")
	if minor == "" && negative {
		return 0, ErrDecimal
	}
	if minor == "" {
		return 0, nil
	}
	if len(minor) > maxDigits {
		return 0, ErrRange
	}
	n, err := strconv.ParseInt(minor, 10, 64)
	if err != nil || n > int64(Max) {
		return 0, ErrRange
	}
	if negative {
		n = -n
	}
	return Cents(n), nil
}

// onlyDigits reports whether s is one or more ASCII digits.
func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
