package portal

import (
	"net/http"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
)

// accountView is the visitor's own page, with the key that deliveries are encrypted to.
type accountView struct {
	Key    *app.KeyInfo
	MayKey bool
	Sent   string
	Fault  string
}

func (p *Portal) accountPage(w http.ResponseWriter, r *http.Request, v *session) error {
	return p.showAccount(w, r, v, http.StatusOK, "", "")
}

func (p *Portal) showAccount(w http.ResponseWriter, r *http.Request, v *session, status int, sent, wrong string) error {
	view := accountView{MayKey: p.useCases.May(v.Actor, app.OwnDeliveryKey), Sent: sent, Fault: wrong}
	if view.MayKey {
		key, err := p.useCases.DeliveryKey(r.Context(), v.Caller)
		if err != nil {
			return err
		}
		view.Key = key
	}
	return p.show(w, r, status, accountPage(p.pageLayout(r, v, "account", "Your account"), v, view))
}

// putKey stores the visitor's OpenPGP public key, or removes it.
func (p *Portal) putKey(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	if p.requireFresh(w, r, v, "/account") {
		return nil
	}
	remove := r.PostForm.Get("do") == "remove"
	armored := strings.TrimSpace(r.PostForm.Get("key"))
	if armored == "" && !remove {
		return p.showAccount(w, r, v, http.StatusUnprocessableEntity, "", "Paste your public key first.")
	}
	if remove {
		armored = ""
	}
	_, err := p.useCases.PutDeliveryKey(r.Context(), v.Caller, []byte(armored))
	if f := fault.Of(err); f != nil && f.Kind == fault.KindInvalid {
		wrong := f.Detail
		if len(f.Violations) > 0 {
			wrong = strings.Join(messages(f.Violations), " ")
		}
		return p.showAccount(w, r, v, http.StatusUnprocessableEntity, armored, wrong)
	}
	if err != nil {
		return err
	}
	if remove {
		p.flash(r, "Your key was removed. From now on deliveries come with a one-time passphrase.")
		return seeOther(w, r, "/account")
	}
	p.flash(r, "Your key is on file. Compare the fingerprint below with your own.")
	return seeOther(w, r, "/account")
}

// grouped4 writes a fingerprint in groups of four.
func grouped4(fingerprint string) string {
	var b strings.Builder
	for i, c := range strings.ToUpper(fingerprint) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}
