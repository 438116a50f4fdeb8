package notice

import "github.com/platforma-cloud/orders/internal/brand"

// ownColor is the colour of the bar when the tenant set none.
var ownColor = brand.Colour{R: 0x0b, G: 0x5c, B: 0x4a}

// colours returns the brand's colour and a colour of text that can be read on it: the tenant's own, else white,
// else black. White or black can be read on every colour.
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
