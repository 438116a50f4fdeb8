// Package brand holds the colours of a tenant's brand: how they are written, and whether text in one can be
// read on another, as WCAG 2.2 defines it. It must not know where they are shown.
package brand

import (
	"fmt"
	"math"
	"strconv"
)

// MinContrast is what WCAG 2.2 AA asks of text.
const MinContrast = 4.5

// Colour is sRGB. The zero Colour is black.
type Colour struct{ R, G, B uint8 }

// White is the lightest colour.
func White() Colour { return Colour{0xff, 0xff, 0xff} }

// Black is the darkest colour.
func Black() Colour { return Colour{} }

// String is the form that HTML and style sheets take: #rrggbb.
func (c Colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// Parse reads #rrggbb and nothing else: the colour is written into HTML and style sheets.
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

// Contrast of two colours as WCAG 2.2 defines it: from 1 to 21.
func Contrast(a, b Colour) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// Readable reports whether text in one of two colours can be read on the other.
func Readable(a, b Colour) bool { return Contrast(a, b) >= MinContrast }

// luminance is the relative luminance of WCAG 2.2: from 0 to 1.
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

// NearestReadable moves a colour toward black or white, whichever the surface is not, only as far as it
// takes to be read on it.
func NearestReadable(c, surface Colour) Colour {
	toward := Black()
	if surface.luminance() < 0.18 { // below it white is the easier to read
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

func mix(from, to uint8, percent int) uint8 {
	return uint8((int(from)*(100-percent) + int(to)*percent) / 100)
}
