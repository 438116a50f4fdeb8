package portal

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
)

// brandAge is how old a tenant's name and colours may be on a page.
const brandAge = 5 * time.Second

type cachedBrand struct {
	settings app.Settings
	until    time.Time
}

// brandOf reads what every member may see of a tenant's settings: its name and colours.
func (p *Portal) brandOf(ctx context.Context, c app.Caller) (app.Settings, error) {
	t := c.Tenant
	now := p.cfg.Now()
	p.mu.Lock()
	known, ok := p.brands[t]
	p.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.settings, nil
	}
	s, err := p.useCases.Brand(ctx, c)
	if err != nil {
		return app.Settings{}, fmt.Errorf("read brand of tenant %s: %w", t, err)
	}
	p.mu.Lock()
	p.brands[t] = cachedBrand{settings: s, until: now.Add(brandAge)}
	p.mu.Unlock()
	return s, nil
}

// brandSheet is the tenant's style sheet: a route, because no style may stand in a page.
func (p *Portal) brandSheet(w http.ResponseWriter, r *http.Request) error {
	v, err := p.visitor(r)
	if err != nil {
		return err
	}
	sheet := "/* no brand of its own */\n"
	if v != nil {
		sheet = brandCSS(v.brand.BrandColor, v.brand.BrandContrast)
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, err = w.Write([]byte(sheet))
	return err
}

// The surfaces that links stand on, as in portal.css.
var (
	lightSurface = colour{0xff, 0xff, 0xff}
	darkSurface  = colour{0x17, 0x1d, 0x1c}
)

// minContrast is WCAG 2.2 AA for text.
const minContrast = 4.5

// brandCSS sets a tenant's two colours. A pair that cannot be read, or whose text could not be read
// on it, is left out: the page then has our own. Links take the nearest shade that can be read on
// each surface.
func brandCSS(brand, contrast string) string {
	b, ok := parseColour(brand)
	c, ok2 := parseColour(contrast)
	if !ok || !ok2 || contrastOf(b, c) < minContrast {
		return "/* the brand's colours are not set, or not readable on each other */\n"
	}
	return fmt.Sprintf(`@layer tenant {
  :root { --brand: %s; --brand-contrast: %s; --link: %s; }
  @media (prefers-color-scheme: dark) { :root { --link: %s; } }
}
`, b, c, nearestReadable(b, lightSurface), nearestReadable(b, darkSurface))
}

// colour is sRGB.
type colour struct{ r, g, b uint8 }

// String is the form a style sheet takes.
func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// parseColour reads #rrggbb and nothing else: it is written into a style sheet.
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

// contrastOf two colours as WCAG 2.2 defines it: from 1 to 21.
func contrastOf(a, b colour) float64 {
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

// nearestReadable moves a colour toward black or white, whichever the surface is not, only as far as
// it takes to be read on it.
func nearestReadable(c, on colour) colour {
	toward := colour{}
	if on.luminance() < 0.18 {
		toward = colour{0xff, 0xff, 0xff}
	}
	for step := range 101 {
		mixed := colour{mix(c.r, toward.r, step), mix(c.g, toward.g, step), mix(c.b, toward.b, step)}
		if contrastOf(mixed, on) >= minContrast {
			return mixed
		}
	}
	return toward
}

func mix(from, to uint8, percent int) uint8 {
	return uint8((int(from)*(100-percent) + int(to)*percent) / 100)
}
