package portal

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/brand"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/payment"
)

// settingsView is the form of the tenant's settings.
type settingsView struct {
	S        app.Settings
	Methods  []payment.Method
	MayWrite bool
	Faults   []string
	Tabs     []tab
}

func (p *Portal) settingsPage(w http.ResponseWriter, r *http.Request, v *session) error {
	s, err := p.useCases.Settings(r.Context(), v.Caller)
	if err != nil {
		return err
	}
	return p.showSettings(w, r, v, http.StatusOK, s, nil)
}

func (p *Portal) showSettings(
	w http.ResponseWriter, r *http.Request, v *session, status int, s app.Settings, faults []string,
) error {
	view := settingsView{
		S: s, Methods: p.useCases.PaymentMethods(), MayWrite: p.useCases.May(v.Actor, app.WriteSettings), Faults: faults,
		Tabs: p.settingsTabs(v, "/settings"),
	}
	return p.show(w, r, status, settingsPage(p.pageLayout(r, v, "settings", "Settings"), view))
}

// putSettings replaces the settings by those of the form. It refuses numbers that cannot be parsed and brand
// colours that cannot be read; the use case checks everything else.
func (p *Portal) putSettings(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	pre, err := sentVersion(r)
	if err != nil {
		return err
	}
	s, err := p.useCases.Settings(r.Context(), v.Caller)
	if err != nil {
		return err
	}
	form := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	var faults []string
	parseNumber := func(name, label string, into *int) {
		n, err := strconv.Atoi(form(name))
		if err != nil {
			faults = append(faults, label+" must be a whole number.")
			return
		}
		*into = n
	}
	s.Name, s.Currency = form("name"), money.Currency(form("currency"))
	s.TimeZone, s.PaymentMethod = form("time_zone"), form("payment_method")
	parseNumber("safety_window", "The safety window", &s.SafetyWindow)
	parseNumber("payment_due_days", "The days to pay", &s.PaymentDueDays)
	parseNumber("quote_valid_days", "The days a quote holds", &s.QuoteValidDays)
	s.SingleCycle, s.RequireKey = form("single_cycle") == "on", form("require_idempotency_key") == "on"
	s.Language, s.BrandColor, s.BrandContrast = form("language"), form("brand_color"), form("brand_contrast")
	if fault := brandFault(s.BrandColor, s.BrandContrast); fault != "" {
		faults = append(faults, fault)
	}
	if len(faults) > 0 {
		return p.showSettings(w, r, v, http.StatusUnprocessableEntity, s, faults)
	}
	if _, err := p.useCases.PutSettings(r.Context(), v.Caller, s, pre); err != nil {
		if f := fault.Of(err); f != nil && len(f.Violations) > 0 {
			return p.showSettings(w, r, v, http.StatusUnprocessableEntity, s, messages(f.Violations))
		}
		return err
	}
	p.mu.Lock()
	delete(p.brands, v.Tenant)
	p.mu.Unlock()
	p.flash(r, "The settings were saved. They apply from now on; orders keep the prices they were placed with.")
	return seeOther(w, r, "/settings")
}

// brandFault returns why two colours cannot be a brand, with the nearest colour that could; "" when they can, or
// when none is set.
func brandFault(color, contrast string) string {
	if color == "" && contrast == "" {
		return ""
	}
	b, ok := brand.Parse(color)
	c, ok2 := brand.Parse(contrast)
	if !ok || !ok2 {
		return "Write both brand colours as #rrggbb, or leave both empty."
	}
	if !brand.Readable(b, c) {
		return fmt.Sprintf("Text in %s on %s has a contrast of %.1f to 1 and could not be read by everybody; "+
			"4.5 is the least. The nearest brand colour that passes is %s.",
			c, b, brand.Contrast(b, c), brand.NearestReadable(b, c))
	}
	return ""
}

// languageText returns a language's own name.
func languageText(l notice.Language) string {
	return map[notice.Language]string{
		notice.English: "English", notice.German: "Deutsch", notice.Slovenian: "slovenščina",
	}[l]
}
