package portal

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/brand"
)

// brandAge is how old a tenant's name and colours may be on a page. No cache of settings is older than that.
const brandAge = 5 * time.Second

type cachedBrand struct {
	settings app.Settings
	until    time.Time
}

// brandOf returns the settings that every member may see: the tenant's name and colours.
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

// brandSheet serves the tenant's style sheet. It has a route, because the content security policy forbids styles
// inside a page.
func (p *Portal) brandSheet(w http.ResponseWriter, r *http.Request) error {
	v, err := p.visitor(r)
	if err != nil {
		return err
	}
	sheet := "/* nobody is signed in */\n"
	if v != nil {
		sheet = brandCSS(v.brand.BrandColor, v.brand.BrandContrast)
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, err = w.Write([]byte(sheet))
	return err
}

// The backgrounds of links, as in portal.css.
var (
	lightSurface = brand.White()
	darkSurface  = brand.Colour{R: 0x17, G: 0x1d, B: 0x1c}
)

// brandCSS returns a style sheet that sets a tenant's two colours. A pair that is malformed, or whose text could
// not be read, is left out, and the page keeps our colours. Links get the nearest shade that can be read on each
// background.
func brandCSS(color, contrast string) string {
	b, ok := brand.Parse(color)
	c, ok2 := brand.Parse(contrast)
	if !ok || !ok2 || !brand.Readable(b, c) {
		return "/* the brand's colours are not set, or not readable on each other */\n"
	}
	return fmt.Sprintf(`@layer tenant {
  :root { --brand: %s; --brand-contrast: %s; --link: %s; }
  @media (prefers-color-scheme: dark) { :root { --link: %s; } }
}
`, b, c, brand.NearestReadable(b, lightSurface), brand.NearestReadable(b, darkSurface))
}
