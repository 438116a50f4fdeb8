package notice

import "github.com/platforma-cloud/orders/internal/brand"

// ownColor is the bar of a tenant that set no colour.
var ownColor = brand.Colour{R: 0x0b, G: 0x5c, B: 0x4a}

// colours are the brand's own where text can be read on it: in the tenant's colour for text, else in white,
// else in black. One of the last two can be read on every colour.
func (b Brand) colours() (surface, text brand.Colour) {
	surface, ok := brand.Parse(b.Color)
	if !ok {
		surface = ownColor
	}
	if text, ok := brand.Parse(b.Contrast); ok && brand.Readable(surface, text) {
		return surface, text
	}
	if brand.Readable(surface, brand.White()) {
		return surface, brand.White()
	}
	return surface, brand.Black()
}
