package portal

import (
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/brand"
)

func TestLinksOfEveryBrandCanBeReadOnBothBackgrounds(t *testing.T) {
	t.Parallel()
	for _, c := range []brand.Colour{
		{R: 0xff, G: 0xff}, {B: 0x80}, {R: 0x80, G: 0x80, B: 0x80}, brand.Black(), brand.White(),
	} {
		for _, on := range []brand.Colour{lightSurface, darkSurface} {
			if got := brand.NearestReadable(c, on); !brand.Readable(got, on) {
				t.Errorf("%s made readable on %s is %s, with a contrast of %v", c, on, got, brand.Contrast(got, on))
			}
		}
	}
}

func TestBrandThatCannotBeReadIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"", ""},
		{"#777777", "#ffffff"},
		{"#7a1fa2", "#7a1fa2"},
		{"red", "#ffffff"},
		{"#7a1fa2;}", "#ffffff"},
		{"#7a1fag", "#ffffff"},
		{"#+1234f", "#ffffff"},
	} {
		if got := brandCSS(pair[0], pair[1]); strings.Contains(got, "--brand") {
			t.Errorf("%q on %q was accepted: %s", pair[1], pair[0], got)
		}
	}
	want := "@layer tenant {\n  :root { --brand: #7a1fa2; --brand-contrast: #ffffff; --link: #7a1fa2; }\n  @media " +
		"(prefers-color-scheme: dark) { :root { --link: #"
	if got := brandCSS("#7a1fa2", "#ffffff"); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want it to begin with %s", got, want)
	}
}
