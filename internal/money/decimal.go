package money

import (
	"errors"
	"strconv"
	"strings"
)

// ErrDecimal is returned for a text that is not an amount of the currency.
var ErrDecimal = errors.New("not a decimal amount of the currency")

// maxDigits is the length of Max in decimal digits: a longer number is out of range unread.
const maxDigits = 16

// Format prints an amount with all the digits its currency has, a point and no grouping: "20.10",
// "-0.05", "2010" for JPY. It is what the API carries; a page groups digits for its reader itself.
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

// ParseDecimal reads what Format prints, and shorter fractions ("20.1" is 20_10 in EUR). Everything
// else is refused: a sign other than one leading minus, an exponent, blanks, grouping, leading
// zeros, a point without a digit on both sides, more decimals than the currency has (even zeros),
// minus nothing, a currency outside the table. ErrDecimal for the form, ErrRange beyond ±Max.
func ParseDecimal(s string, cur Currency) (Cents, error) {
	if !cur.Known() {
		return 0, ErrDecimal
	}
	unsigned, negative := strings.CutPrefix(s, "-")
	whole, fraction, pointed := strings.Cut(unsigned, ".")
	switch {
	case !onlyDigits(whole), pointed && !onlyDigits(fraction):
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
