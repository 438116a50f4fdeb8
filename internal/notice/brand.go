package notice

import (
	"fmt"
	"math"
	"strconv"
)

// minContrast is WCAG 2.2 AA for text.
const minContrast = 4.5

// ownColor is the bar of a tenant that set no colour.
var ownColor = colour{0x0b, 0x5c, 0x4a}

var (
	white = colour{0xff, 0xff, 0xff}
	black = colour{}
)

// colour is sRGB.
type colour struct{ r, g, b uint8 }

// String is the form that HTML takes.
func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// parseColour reads #rrggbb and nothing else: it is written into HTML.
func parseColour(s string) (colour, bool) {
	if len(s) != 7 || s[0] != '#' {
		return colour{}, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return colour{}, false
	}
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, true
}

// colours are the brand's own where text can be read on it: in the tenant's colour for text, else in white,
// else in black. One of the last two can be read on every colour.
func (b Brand) colours() (surface, text colour) {
	surface, ok := parseColour(b.Color)
	if !ok {
		surface = ownColor
	}
	if text, ok := parseColour(b.Contrast); ok && contrast(surface, text) >= minContrast {
		return surface, text
	}
	if contrast(surface, white) >= minContrast {
		return surface, white
	}
	return surface, black
}

// contrast of two colours as WCAG 2.2 defines it: from 1 to 21.
func contrast(a, b colour) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func (c colour) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}
