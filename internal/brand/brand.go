// Package brand holds the colours of a tenant's brand: how they are written, and whether text of one colour can
// be read on another, as WCAG 2.2 defines it. It must not know where the colours are shown.
package brand

import (
	"fmt"
	"math"
	"strconv"
)

// MinContrast is the least contrast that WCAG 2.2 AA requires of text.
const MinContrast = 4.5

// Colour is a colour in sRGB. The zero value is black.
type Colour struct{ R, G, B uint8 }

// White returns the lightest colour.
func White() Colour { return Colour{0xff, 0xff, 0xff} }

// Black returns the darkest colour.
func Black() Colour { return Colour{} }

// String returns the form that HTML and style sheets take: #rrggbb.
func (c Colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// Parse parses #rrggbb and nothing else, because the colour is written into HTML and style sheets.
func Parse(s string) (Colour, bool) {
	if len(s) != 7 || s[0] != '#' {
		return Colour{}, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return Colour{}, false
	}
	return Colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, true
}

// Contrast returns the contrast of two colours as WCAG 2.2 defines it, from 1 to 21.
func Contrast(a, b Colour) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// Readable reports whether text of one colour can be read on the other.
func Readable(a, b Colour) bool { return Contrast(a, b) >= MinContrast }

// luminance returns the relative luminance of WCAG 2.2, from 0 to 1.
func (c Colour) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// NearestReadable returns a colour that can be read on the surface. It mixes c with black, or with white on a
// dark surface, and only as much as is needed.
func NearestReadable(c, surface Colour) Colour {
	toward := Black()
	if surface.luminance() < 0.18 { // white is easier to read on a darker surface
		toward = White()
	}
	for step := range 101 {
		mixed := Colour{mix(c.R, toward.R, step), mix(c.G, toward.G, step), mix(c.B, toward.B, step)}
		if Readable(mixed, surface) {
			return mixed
		}
	}
	return toward
}

// mix returns a channel that is percent of the way between from and to.
func mix(from, to uint8, percent int) uint8 {
	return uint8((int(from)*(100-percent) + int(to)*percent) / 100)
}
