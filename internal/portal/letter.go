package portal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// letterView is a dead letter with all that a person needs to decide about it, and what they sent.
type letterView struct {
	app.LetterDetail
	MayWrite bool
	Mine     bool   // the signature that stands there is the visitor's own
	Refunds  string // how the money stands, in a sentence
	Means    string // what the second signature will do, in machines and money
	Faults   []string
	Form     letterForm
}

// letterForm is what a person sent, to be shown again where it was refused.
type letterForm struct{ Grounds, Text, Proof, Part, Ref, Adopting, Reason string }

// Parts that may still be there, each once.
func (v letterView) Parts() []string {
	var parts []string
	for _, p := range v.Left {
		if !slices.Contains(parts, p.Part) {
			parts = append(parts, p.Part)
		}
	}
	return parts
}

// Stuck tells whether a person has something to decide.
func (v letterView) Stuck() bool {
	return v.MayWrite && v.Work != nil && v.Work.State == fulfil.Stuck && (v.State == app.LetterOpen || v.State == app.LetterParked)
}

// Base is the letter's own address.
func (v letterView) Base() string { return "/desk/letters/" + v.ID.String() }

// signatureOf tells who signed and how to call them: their address, or the end of their id when they are no
// member any more.
func signatureOf(v *visit, d app.LetterDetail) string {
	switch by := d.Abandonment.FirstBy; {
	case by == v.Member:
		return "you"
	case d.First != nil:
		return d.First.Email
	default:
		return "somebody who has left (" + short(by.String()) + ")"
	}
}

// groundsTexts word why work is given up, as what a person signs.
var groundsTexts = map[app.Grounds]string{
	app.VerifiedAbsent: "Somebody looked at the provider: nothing of it is there",
	app.RemovedByHand:  "Somebody removed it at the provider by hand",
	app.AccountClosed:  "The account that it was in is closed",
	app.RefundedByHand: "The money went back another way",
	app.OtherGrounds:   "Something else, said in words below",
}

// refundSentence says how the item's money stands.
func refundSentence(d app.LetterDetail) string {
	r := d.Refund
	if r == nil {
		return ""
	}
	sum := amount(r.Cents, r.Currency)
	switch r.State {
	case order.RefundStuck:
		return "The refund of " + sum + " is stuck: the customer is owed it."
	case order.RefundAccepted:
		return "The refund of " + sum + " was accepted."
	case order.RefundCompleted:
		return sum + " went back."
	default:
		return "The refund of " + sum + " is under way."
	}
}

// abandonMeans says what the second signature will do.
func abandonMeans(d app.LetterDetail) string {
	if d.Work == nil {
		return ""
	}
	switch d.Work.Kind {
	case fulfil.Provision:
		end := "The item becomes rolled back as soon as its refund is accepted."
		if d.Refund == nil || d.Refund.State.Accepted() {
			end = "The item becomes rolled back, and the order goes on without it."
		}
		return "The clean-up counts as done. " + end + " Nothing is removed at the provider by this: whatever is still there stays and costs money."
	case fulfil.Refund:
		sum := "The refund"
		if r := d.Refund; r != nil {
			sum = "The refund of " + amount(r.Cents, r.Currency)
		}
		return sum + " counts as paid, with your proof as its reference. No money is moved by this: it must have gone back already."
	case fulfil.Redo:
		return "The event is passed over for good by " + d.Event.Consumer + ", and what waits behind it is applied."
	default:
		return "It is dropped. The order does not hang on it."
	}
}

func (p *Portal) letterPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	return p.showLetter(w, r, v, http.StatusOK, letterForm{}, nil)
}

func (p *Portal) showLetter(w http.ResponseWriter, r *http.Request, v *visit, status int, form letterForm, faults []string) error {
	letter, err := id.Parse[app.DeadLetter](r.PathValue("letter"))
	if err != nil {
		return errNoPage
	}
	d, err := p.useCases.DeadLetter(r.Context(), v.Caller, letter)
	if err != nil {
		return err
	}
	view := letterView{
		LetterDetail: d, MayWrite: p.useCases.May(v.Actor, app.WorkDesk), Mine: d.Abandonment.FirstBy == v.Member,
		Refunds: refundSentence(d), Means: abandonMeans(d), Faults: faults, Form: form,
	}
	return p.show(w, r, status, letterPage(p.chrome(r, v, "desk", words(d.Code)), v, p.deskTabs(v, "/desk/letters"), view))
}

// decided answers a decision about a letter: on to the letter with a word of what was done, or the page
// again with what was refused and why.
func (p *Portal) decided(w http.ResponseWriter, r *http.Request, v *visit, form letterForm, sent string, err error) error {
	if f := fault.Of(err); f != nil && (f.Kind == fault.KindInvalid || f.Kind == fault.KindConflict) {
		faults := []string{f.Detail}
		if len(f.Violations) > 0 {
			faults = messages(f.Violations)
		}
		return p.showLetter(w, r, v, httpkit.Status(f.Kind), form, faults)
	}
	if err != nil {
		return err
	}
	p.flash(r, sent)
	return see(w, r, "/desk/letters/"+r.PathValue("letter"))
}

func (p *Portal) redrive(w http.ResponseWriter, r *http.Request, v *visit) error {
	letter, err := letterOf(r)
	if err != nil {
		return err
	}
	form := letterForm{Reason: oneLine(r.PostForm.Get("reason"))}
	if err = checkReason(form.Reason); err == nil {
		_, err = p.useCases.RedriveDeadLetter(r.Context(), v.Caller, letter, form.Reason)
	}
	return p.decided(w, r, v, form, "It is tried again. The order's page shows how it goes.", err)
}

func (p *Portal) adopt(w http.ResponseWriter, r *http.Request, v *visit) error {
	letter, err := letterOf(r)
	if err != nil {
		return err
	}
	form := letterForm{Part: r.PostForm.Get("part"), Ref: strings.TrimSpace(r.PostForm.Get("ref")), Adopting: oneLine(r.PostForm.Get("reason"))}
	_, err = p.useCases.AdoptDeadLetter(r.Context(), v.Caller, app.AdoptLetter{Letter: letter, Part: form.Part, Ref: form.Ref, Reason: form.Adopting})
	return p.decided(w, r, v, form, "It is looked at. If it is the item's it is removed; if not, a new dead letter says so.", err)
}

// abandon signs, first or second. Both signatures ask for a fresh sign-in: an open browser must not be a
// pair of eyes.
func (p *Portal) abandon(w http.ResponseWriter, r *http.Request, v *visit) error {
	letter, err := letterOf(r)
	if err != nil {
		return err
	}
	if p.requireFresh(w, r, v, "/desk/letters/"+letter.String()) {
		return nil
	}
	form := letterForm{Grounds: r.PostForm.Get("grounds"), Text: oneLine(r.PostForm.Get("text")), Proof: oneLine(r.PostForm.Get("proof"))}
	after, err := p.useCases.AbandonDeadLetter(r.Context(), v.Caller, app.AbandonLetter{Letter: letter, Grounds: app.Grounds(form.Grounds), Text: form.Text, Proof: form.Proof})
	sent := "Signed first. Nothing has happened yet: another operator looks at the proof and signs the same."
	if after.State == app.LetterAbandoned {
		sent = "Abandoned, signed by two people."
	}
	return p.decided(w, r, v, form, sent, err)
}

func (p *Portal) withdraw(w http.ResponseWriter, r *http.Request, v *visit) error {
	letter, err := letterOf(r)
	if err != nil {
		return err
	}
	_, err = p.useCases.WithdrawAbandonment(r.Context(), v.Caller, letter)
	return p.decided(w, r, v, letterForm{}, "Your signature is withdrawn. The work is still stuck.", err)
}

func letterOf(r *http.Request) (id.Of[app.DeadLetter], error) {
	if err := r.ParseForm(); err != nil {
		return id.Of[app.DeadLetter]{}, unreadable(err)
	}
	letter, err := id.Parse[app.DeadLetter](r.PathValue("letter"))
	if err != nil {
		return id.Of[app.DeadLetter]{}, errNoPage
	}
	return letter, nil
}

// redriveGroup tries all open letters of a cause and class again, and says what became of them.
func (p *Portal) redriveGroup(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	class, ok := fault.ParseClass(r.PostForm.Get("class"))
	if !ok || r.PostForm.Get("cause") == "" {
		return errNoPage
	}
	reason := oneLine(r.PostForm.Get("reason"))
	if err := checkReason(reason); err != nil {
		return err
	}
	report, err := p.useCases.RedriveDeadLetters(r.Context(), v.Caller, app.RedriveLetters{Cause: r.PostForm.Get("cause"), Class: &class, Reason: reason})
	if err != nil {
		return err
	}
	p.flash(r, redrivenText(report))
	return see(w, r, "/desk/letters")
}

// redrivenText sums up what became of many, with the first refusal's reason.
func redrivenText(report app.RedriveReport) string {
	done, why := 0, ""
	for _, l := range report.Letters {
		switch {
		case l.Outcome == app.RedriveDone:
			done++
		case why == "":
			why = " First refusal: " + l.Detail
		}
	}
	if len(report.Letters) == 0 {
		return "Nothing of the kind is open any more."
	}
	return fmt.Sprintf("%d of %d tried again.%s", done, len(report.Letters), why)
}
